"""When each alert fires and when it does not, as changes to a healthy mesh; None takes a series away."""

from tests.alerts.cases.certificates import CERTIFICATES
from tests.alerts.cases.istio import ISTIO
from tests.alerts.cases.process import OPERATOR
from tests.alerts.cases.work import WORK

CASES = CERTIFICATES | WORK | OPERATOR | ISTIO
