from argparse import ArgumentParser

import pytest

from meshca.settings import Settings, add_arguments
from meshca.words.ref import DEPLOYMENTS, Ref


def settings(*flags: str, **environ: str) -> Settings:
    parser = ArgumentParser(prog="meshca run")
    add_arguments(parser)
    return Settings.of(parser.parse_args(flags), environ)


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        pytest.param([], {}, "meshca-system", id="nothing is said: the default"),
        pytest.param([], {"POD_NAMESPACE": "security"}, "security", id="in a pod: the pod's"),
        pytest.param(["--namespace=mine"], {"POD_NAMESPACE": "security"}, "mine", id="a flag beats the pod"),
        pytest.param([], {"POD_NAMESPACE": ""}, "meshca-system", id="an empty variable says nothing"),
    ],
)
def test_the_namespace(flags, environ, expected):
    assert settings(*flags, **environ).namespace == expected


def test_a_pod_is_known_by_its_name_so_that_its_next_container_takes_the_lease_over():
    assert settings(POD_NAME="meshca-7d9f-abcde").identity == "meshca-7d9f-abcde"


def test_two_processes_on_one_machine_have_different_identities():
    assert settings().identity != settings().identity


def test_the_flags_are_taken():
    given = settings("--metrics-address=127.0.0.1:0", "--log-format=json", "--log-level=debug")
    assert (given.metrics_address, given.log_format, given.log_level) == ("127.0.0.1:0", "json", "debug")


def test_one_watch_for_all_is_had_only_where_it_is_asked_for():
    assert (settings().wide_watch, settings("--wide-watch").wide_watch) == (False, True)


def test_a_log_format_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        settings("--log-format=xml")
    assert "invalid choice: 'xml'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(
            {},
            "kubectl create rolebinding meshca-target --clusterrole=meshca-target"
            " --serviceaccount=meshca-system:meshca --namespace=istio-system (targetNamespaces in the Helm chart)",
            id="as deploy/ names them",
        ),
        pytest.param(
            {"POD_NAMESPACE": "ca", "POD_SERVICE_ACCOUNT": "ca-meshca", "TARGET_CLUSTER_ROLE": "ca-meshca-target"},
            "kubectl create rolebinding ca-meshca-target --clusterrole=ca-meshca-target"
            " --serviceaccount=ca:ca-meshca --namespace=istio-system (targetNamespaces in the Helm chart)",
            id="as a Helm release of another name does",
        ),
    ],
)
def test_a_missing_right_is_asked_for_by_the_names_that_are_installed(environ, expected):
    advice = settings(**environ).grant(Ref("istio-system", "cacerts"))
    assert advice == f"create the namespace if it does not exist, and allow it: {expected}"


def test_a_secret_of_another_name_must_be_named_in_the_role_too():
    advice = settings().grant(Ref("istio-east", "cacerts-blue"))
    assert advice.endswith("; ClusterRole meshca-target must name cacerts-blue (targetSecretNames in the Helm chart)")


def test_the_right_to_restart_istiod_is_another_role_and_names_the_deployments():
    advice = settings().grant(Ref("istio-east", "istiod", DEPLOYMENTS))
    assert advice == (
        "allow it: kubectl create rolebinding meshca-restart --clusterrole=meshca-restart"
        " --serviceaccount=meshca-system:meshca --namespace=istio-east (restart.namespaces in the Helm chart)"
    )
    canary = settings().grant(Ref("istio-east", "istiod-1-30", DEPLOYMENTS))
    assert canary.endswith("; ClusterRole meshca-restart must name istiod-1-30 (restart.deployments in the Helm chart)")
