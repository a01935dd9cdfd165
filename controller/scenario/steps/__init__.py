# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of scenarios: every step by its keyword."""

from controller.scenario.steps.base import Step
from controller.scenario.steps.clocks import CLOCK_STEPS
from controller.scenario.steps.connections import CONNECTION_STEPS
from controller.scenario.steps.control import CONTROL_STEPS
from controller.scenario.steps.controllers import CONTROLLER_STEPS
from controller.scenario.steps.crafted import CRAFTED_STEPS
from controller.scenario.steps.errors import ERROR_STEPS
from controller.scenario.steps.federation import FEDERATION_STEPS
from controller.scenario.steps.kernel import KERNEL_STEPS
from controller.scenario.steps.kernel_options import KERNEL_OPTION_STEPS
from controller.scenario.steps.network import NETWORK_STEPS
from controller.scenario.steps.observations import OBSERVATION_STEPS
from controller.scenario.steps.options import OPTION_STEPS
from controller.scenario.steps.programs import PROGRAM_STEPS
from controller.scenario.steps.security import SECURITY_STEPS
from controller.scenario.steps.stacks import STACK_STEPS

STEPS: dict[str, type[Step]] = {
    step.keyword: step
    for step in (
        *CLOCK_STEPS,
        *CONNECTION_STEPS,
        *CONTROL_STEPS,
        *CONTROLLER_STEPS,
        *CRAFTED_STEPS,
        *ERROR_STEPS,
        *FEDERATION_STEPS,
        *PROGRAM_STEPS,
        *NETWORK_STEPS,
        *KERNEL_STEPS,
        *KERNEL_OPTION_STEPS,
        *OBSERVATION_STEPS,
        *OPTION_STEPS,
        *SECURITY_STEPS,
        *STACK_STEPS,
    )
}

__all__ = ["STEPS", "Step"]
