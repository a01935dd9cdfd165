// SPDX-License-Identifier: Apache-2.0
// Every table, counter and meter size, in one place.
#ifndef SYNCLINE_SIZES_P4
#define SYNCLINE_SIZES_P4

#define SERVICES_SIZE         1024
#define SESSIONS_SIZE         1048576
#define ROUTES_SIZE           4096
#define NEIGHBOURS_SIZE       4096
#define PORTS_SIZE            512
#define LOCAL_ADDRESSES_SIZE  1024
#define COOKIE_KEYS_SIZE      2
#define REASONS_SIZE          32
#define PENDING_SIZE          65536
#define LATELY_SIZE           1024
#define ENDED_SIZE            4096

// One meter cell per service and punt reason: index = service_id * 8 + reason.
#define PUNT_METER_SIZE       8192

#endif
