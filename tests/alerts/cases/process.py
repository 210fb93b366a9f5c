"""The operator as a process."""

from tests.alerts.cases.case import Case
from tests.alerts.healthy import series
from tests.alerts.promtool import Firing
from tests.alerts.samples import (
    FAILS,
    INTERNAL,
    LEADS,
    NAME,
    PASSED,
    PATCHES,
    POD,
    STANDS_BY,
    WATCHES,
    after,
    always,
    mesh,
    of,
    unseen,
    until,
)

_DOWN = "The MeshCA operator is down, or Prometheus cannot scrape it"
_CLOCK = "The node of MeshCA operator pod meshca-a has a clock 2m 0s {} the API server's"

OPERATOR: dict[str, Case] = {
    "no operator": Case("MeshCAOperatorDown", unseen({}), (Firing("warning", {}, _DOWN),)),
    "an operator that is away for ten minutes": Case(
        "MeshCAOperatorDown",
        {
            of("meshca_build_info", version="0.1.0"): "1+0x19 stale _x9 1+0x200",
            of("meshca_build_info", "meshca-b", version="0.1.0"): until(20, 1),
        },
    ),
    "two operators of which none leads": Case(
        "MeshCANoLeader",
        {LEADS: after(30, 0, 1)},
        (Firing("warning", {}, "MeshCA operators run, but none of them works"),),
    ),
    "a leader that has lost the right to list MeshCAs, and was restarted": Case(
        "MeshCANoLeader",
        {WATCHES: until(30, 1)},
        (Firing("warning", {}, "MeshCA operators run, but none of them works"),),
    ),
    "nobody leads for five minutes": Case("MeshCANoLeader", {LEADS: "1+0x19 0+0x4 1+0x200"}),
    "two that lead": Case(
        "MeshCASeveralLeaders",
        {STANDS_BY: after(30, 1, 0)},
        (Firing("warning", {}, "2 MeshCA operators lead at the same time"),),
    ),
    "two that lead for the length of a scrape": Case("MeshCASeveralLeaders", {STANDS_BY: "0+0x29 1+0x1 0+0x200"}),
    "one that is scraped twice": Case(
        "MeshCASeveralLeaders", {series("meshca_leader", job="b", namespace="meshca-system", pod="meshca-a"): always(1)}
    ),
    "two clusters with a leader each": Case(
        "MeshCASeveralLeaders", {series("meshca_leader", cluster="east"): always(1)}
    ),
    "a watch that says nothing": Case(
        "MeshCAWatchSilent",
        {of("meshca_watch_silence_seconds"): "60+0x50 120 180 240 0+0x180"},
        (Firing("warning", {}, "The MeshCA operator heard nothing from a watch for 4m 0s"),),
    ),
    "a watch that misses a bookmark": Case(
        "MeshCAWatchSilent", {of("meshca_watch_silence_seconds"): "60+0x50 120 60+0x180"}
    ),
    "an event loop that is late all the time": Case(
        "MeshCALoopLate",
        {of("meshca_loop_lag_seconds"): always(2)},
        (Firing("warning", POD, "The MeshCA operator is short of CPU, its event loop is late by 2s"),),
    ),
    "an event loop that was late once": Case("MeshCALoopLate", {of("meshca_loop_lag_seconds"): "0+0x29 4 0+0x200"}),
    "a queue that never empties": Case(
        "MeshCAQueueStuck",
        {of("meshca_queue_depth"): after(30, 3, 0)},
        (Firing("warning", {}, "Up to 3 MeshCAs wait for the operator, and have for ten minutes"),),
    ),
    "an operator that is restarted every six minutes, because a MeshCA waits for five": Case(
        "MeshCAQueueStuck",
        {of("meshca_queue_depth"): "0" + " 9+0x4 0" * 40},
        (Firing("warning", {}, "Up to 9 MeshCAs wait for the operator, and have for ten minutes"),),
    ),
    "a queue that is empty half of the time": Case(
        "MeshCAQueueStuck", {of("meshca_queue_depth"): "0" + " 9+0x4 0+0x4" * 20}
    ),
    "passes that fail every five minutes": Case(
        "MeshCAReconcileFailing",
        {FAILS: " ".join(str(minute // 5) for minute in range(241))},
        (
            Firing(
                "warning",
                {"result": "APIError"},
                "The MeshCA operator fails again and again: APIError, 3 times in 15 minutes",
            ),
        ),
    ),
    "a pass that ends with an exception nobody thought of": Case(
        "MeshCAInternalError",
        {mesh("meshca_reconciling", reason="InternalError"): after(30, 1), INTERNAL: after(30, 1, 0)},
        (Firing("warning", NAME, "The MeshCA operator fails over MeshCA mesh by a fault of its own"),),
        at=33,
    ),
    "such a pass that could not even be reported": Case(
        "MeshCAInternalError",
        {INTERNAL: after(30, 1, 0)},
        (Firing("warning", {}, "The MeshCA operator fails over a MeshCA by a fault of its own"),),
        at=33,
    ),
    "passes that fail, but not by a fault of the operator": Case(
        "MeshCAInternalError", {mesh("meshca_reconciling", reason="APIError"): always(1), FAILS: "0+1x240"}
    ),
    "a MeshCA that is said to be fine, and was last looked at three hours ago": Case(
        "MeshCANotLookedAt",
        {PASSED: always(0)},
        (Firing("warning", NAME, "MeshCA mesh has not been looked at for 3h 10m 0s"),),
        at=190,
    ),
    "a MeshCA that was not once looked at": Case(
        "MeshCANotLookedAt",
        {PASSED: None},
        (Firing("warning", NAME, "MeshCA mesh has not once been looked at"),),
        at=200,
    ),
    "a MeshCA that is looked at every hour": Case(
        "MeshCANotLookedAt", {PASSED: "0+0x59 3600+0x59 7200+0x59 10800+0x59"}, at=230
    ),
    "a MeshCA that is not looked at because no operator works": Case("MeshCANotLookedAt", unseen({}), at=230),
    "three passes that failed within a minute": Case("MeshCAReconcileFailing", {FAILS: "0+0x30 3+0x209"}),
    "a third of the writes that fail": Case(
        "MeshCAAPIRequestsFailing",
        {of("meshca_api_requests_total", status="503", **PATCHES): "0+60x240"},
        (
            Firing(
                "warning",
                PATCHES,
                "33.33% of the MeshCA operator's requests to patch secrets fail",
            ),
        ),
    ),
    "writes that failed for a minute": Case(
        "MeshCAAPIRequestsFailing", {of("meshca_api_requests_total", status="0", **PATCHES): "0+0x30 60+0x209"}
    ),
    "a pod that is two minutes ahead": Case(
        "MeshCAClockSkew",
        {of("meshca_clock_skew_seconds"): always(120)},
        (
            Firing(
                "warning", POD, "The node of MeshCA operator pod meshca-a has a clock 2m 0s ahead of the API server's"
            ),
        ),
    ),
    "a pod that is two minutes behind": Case(
        "MeshCAClockSkew",
        {of("meshca_clock_skew_seconds"): always(-120)},
        (Firing("warning", POD, _CLOCK.format("behind")),),
    ),
    "a pod that is half a minute ahead": Case("MeshCAClockSkew", {of("meshca_clock_skew_seconds"): always(30)}),
}
