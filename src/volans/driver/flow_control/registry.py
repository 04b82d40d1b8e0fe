# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Flow control strategies by name: a new one is one module, named here."""

from __future__ import annotations

import cython
from cython import cfunc, exceptval, nogil, pointer
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.string import strcmp
from cython.cimports.volans.driver.flow_control.max import max_flow_control
from cython.cimports.volans.driver.flow_control.min import min_flow_control
from cython.cimports.volans.driver.flow_control.tagged import tagged_flow_control
from cython.cimports.volans.driver.flow_control.unicast import unicast_flow_control
from cython.cimports.volans.driver.layout import FlowControlOps, NetworkPublication

STRATEGY_COUNT = cython.declare(cython.int, 4)
_strategies = cython.declare(pointer[cython.const[FlowControlOps]][4])
_strategies[0] = unicast_flow_control()
_strategies[1] = max_flow_control()
_strategies[2] = min_flow_control()
_strategies[3] = tagged_flow_control()


@cfunc
@nogil
@exceptval(check=False)
def flow_control_open(
    publication: pointer[NetworkPublication], name: cython.p_const_char
) -> int32_t:
    i: int32_t
    for i in range(STRATEGY_COUNT):
        if strcmp(_strategies[i].name, name) == 0:
            publication.flow_control.state = cython.NULL
            publication.flow_control.has_required_receivers = 1
            if _strategies[i].open != cython.NULL and _strategies[i].open(publication) < 0:
                return -2
            publication.flow_control.ops = _strategies[i]
            return 0
    return -1
