// SPDX-License-Identifier: Apache-2.0
// Ports: adding them, and their statistics.
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>

static int refuse(char *err, size_t err_len, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (err_len > 0) vsnprintf(err, err_len, format, args);
  va_end(args);
  return code;
}

static int open_pcaps(ss_port *port, const char *dir, char *err, size_t err_len) {
  port->pcap_in = ss_pcap_open(dir, port->iface, "in", err, err_len);
  if (port->pcap_in == NULL) return SS_INTERNAL;
  port->pcap_out = ss_pcap_open(dir, port->iface, "out", err, err_len);
  return port->pcap_out == NULL ? SS_INTERNAL : SS_OK;
}

static void close_pcaps(ss_port *port) {
  ss_pcap_close(port->pcap_in);
  ss_pcap_close(port->pcap_out);
  port->pcap_in = port->pcap_out = NULL;
}

int ss_port_add(ss_switch *sw, uint32_t port, const char *iface, const char *pcap_dir, char *err,
                size_t err_len) {
  if (sw->n_workers > 0)
    return refuse(err, err_len, SS_INTERNAL, "ports cannot be added while the switch runs");
  if (port >= SS_DROP_PORT || port == sw->cpu_port) {
    return refuse(err, err_len, SS_INVALID_ARGUMENT, "port %u: must be below %u and not the CPU port", port,
                  SS_DROP_PORT);
  }
  if (sw->port_index[port] >= 0)
    return refuse(err, err_len, SS_ALREADY_EXISTS, "port %u is given twice", port);
  if (sw->n_ports == SS_MAX_PORTS)
    return refuse(err, err_len, SS_RESOURCE_EXHAUSTED, "more than %d ports", SS_MAX_PORTS);
  if (strlen(iface) >= IF_NAMESIZE || if_nametoindex(iface) == 0) {
    return refuse(err, err_len, SS_NOT_FOUND, "interface %s does not exist", iface);
  }
  ss_port *p = &sw->ports[sw->n_ports];
  memset(p, 0, sizeof *p);
  p->id = port;
  snprintf(p->iface, sizeof p->iface, "%s", iface);
  // Opened now and closed again, so that a lack of rights is told here and not at the start.
  ss_socket *probe = ss_socket_open(p, 1, 0, SS_RING_OF_MANY, err, err_len);
  if (probe == NULL) return SS_PERMISSION_DENIED;
  ss_socket_close(probe);
  if (pcap_dir != NULL && open_pcaps(p, pcap_dir, err, err_len) != SS_OK) {
    close_pcaps(p);
    return SS_INTERNAL;
  }
  sw->port_index[port] = (int16_t)sw->n_ports++;
  return SS_OK;
}

void ss_ports_free(ss_switch *sw) {
  for (uint32_t i = 0; i < sw->n_ports; i++) close_pcaps(&sw->ports[i]);
  sw->n_ports = 0;
}

int ss_port_stats(ss_switch *sw, uint32_t port, ss_port_stats_t *out) {
  if (port >= 512 || sw->port_index[port] < 0) return SS_NOT_FOUND;
  ss_port *p = &sw->ports[sw->port_index[port]];
  *out = (ss_port_stats_t){.port = port,
                           .up = ss_iface_up(p->iface),
                           .rx_packets = atomic_load(&p->rx_packets),
                           .rx_bytes = atomic_load(&p->rx_bytes),
                           .tx_packets = atomic_load(&p->tx_packets),
                           .tx_bytes = atomic_load(&p->tx_bytes),
                           .rx_dropped = atomic_load(&p->rx_dropped),
                           .tx_dropped = atomic_load(&p->tx_dropped)};
  return SS_OK;
}
