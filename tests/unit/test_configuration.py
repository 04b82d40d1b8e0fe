"""One table of settings, and all that is made from it: files, explanations, the page of docs."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from volans.cli.main import app
from volans.client.options import ClientOptions
from volans.client.options_table import CLIENT_SETTINGS
from volans.driver.config import DriverConfig
from volans.driver.config_setting import Kind
from volans.driver.config_table import SETTINGS
from volans.driver.config_values import allowed_values, format_value, value_from_text
from volans.errors import ConfigError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import configuration

ENVIRONMENT = {"USER": "me"}
ALL = [*SETTINGS, *CLIENT_SETTINGS]


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(app, ["config", *arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def file(tmp_path):
    """Writes a configuration file; its path."""

    def write(text: str) -> Path:
        path = tmp_path / "volans.toml"
        path.write_text(text)
        return path

    return write


def test_the_page_of_docs_says_what_the_tables_say():
    page = (configuration.ROOT / configuration.PAGE).read_text()
    assert page == configuration.page(), "run make fix"
    for setting in ALL:
        assert f"| `{setting.name}` |" in configuration.page()


def test_the_example_of_the_page_works(file):
    text = configuration.page().partition("```toml\n")[2].partition("```")[0]
    driver, client = (kind.load(file(text), ENVIRONMENT) for kind in (DriverConfig, ClientOptions))
    assert driver.term_buffer_length == 64 << 20
    assert driver.receiver_wildcard_port_range == (20000, 20100)
    assert client.driver_timeout == 5.0
    assert set(tomllib.loads(text)) == {"driver", "client"}


def test_a_file_wins_over_the_environment_and_keywords_over_both(file):
    path = file(
        '[driver]\nmtu_length = "4k"\nterm_buffer_length = 131072\nreliable_stream = false\n'
    )
    environment = {"AERON_MTU_LENGTH": "2k", "AERON_IPC_MTU_LENGTH": "2k", **ENVIRONMENT}
    config = DriverConfig.load(path, environment, term_buffer_length="64k")
    assert (config.mtu_length, config.ipc_mtu_length) == (4096, 2048)
    assert config.term_buffer_length == 65536
    assert config.reliable_stream is False
    assert DriverConfig.load(file("[client]\nidle_sleep=1"), ENVIRONMENT) == DriverConfig.load(
        None, ENVIRONMENT
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[driver]\nmtu_lenght = 4096", ["driver.mtu_lenght", "4096", "did you mean mtu_length"]),
        ("[driver]\nxyzzy = 4096", ["driver.xyzzy", "volans config list"]),
        ("[driver]\nmtu_length = 1048576", ["driver.mtu_length", "1048576", "from 32 to 65504"]),
        ('[driver]\nmtu_length = "much"', ["driver.mtu_length", "much", "a size"]),
        ("[driver]\nmtu_length = true", ["driver.mtu_length", "True"]),
        ("[driver]\nmtu_length = 1.5", ["driver.mtu_length", "1.5"]),
        ("[driver]\nmtu_length = [1]", ["driver.mtu_length", "[1]"]),
        ("[driver]\nmtu_length = {a = 1}", ["driver.mtu_length"]),
        ("[driver]\nreceiver_wildcard_port_range = [2, 1]", ["receiver_wildcard_port_range"]),
        ("[driver]\nreceiver_wildcard_port_range = ['a', 'b']", ["receiver_wildcard_port_range"]),
        ("mtu_length = 4096", ["mtu_length", "[driver]"]),
        ("[archive]\nx = 1", ["archive", "[driver]"]),
        ("driver = 5", ["driver", "[driver]"]),
        ("[driver\n", ["volans.toml", "line 1"]),
    ],
)
def test_a_bad_file_is_one_clear_error(file, text, words):
    with pytest.raises(ConfigError) as caught:
        DriverConfig.load(file(text), ENVIRONMENT)
    message = str(caught.value)
    assert "\n" not in message
    assert "volans.toml" in message or "configuration file" in message
    for word in words:
        assert word in message


def test_bad_bytes_and_missing_files(tmp_path):
    path = tmp_path / "volans.toml"
    with pytest.raises(FileNotFoundError, match=r"volans\.toml"):
        DriverConfig.load(path, ENVIRONMENT)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="TOML"):
        DriverConfig.load(path, ENVIRONMENT)


def test_a_clients_file(file):
    path = file('[client]\nclient_name = "feed"\nidle_sleep = "5ms"\nresource_linger = 1\n')
    options = ClientOptions.load(
        path, {"AERON_CLIENT_NAME": "x", "AERON_DIR": "/d"}, pre_touch=True
    )
    assert (options.client_name, options.idle_sleep, options.resource_linger) == ("feed", 0.005, 1)
    assert (options.directory, options.pre_touch) == ("/d", True)
    for bad in ("idle_sleep = 0", "idle_sleep = true", "on_close = 5", "client_name = 5"):
        with pytest.raises(ConfigError, match=f"client.{bad.split()[0]} in .*volans.toml"):
            ClientOptions.load(file(f"[client]\n{bad}"), {"AERON_DIR": "/d"})


def test_the_client_and_its_table_agree():
    defaults = {field.name: field.default for field in fields(ClientOptions)}
    for setting in CLIENT_SETTINGS:
        assert defaults.pop(setting.name) == setting.default, setting.name
    for name in defaults:  # what no text can give
        assert name == "sleep" or name.startswith(("on_", "error_")) or "clock" in name, name


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_every_setting_is_told_in_full_and_its_default_can_be_written(setting):
    assert setting.help
    assert allowed_values(setting)
    assert (setting.kind is Kind.CHOICE) == bool(setting.choices)
    if setting.default is not None:
        text = format_value(setting, setting.default)
        assert value_from_text(setting, text, "x") == setting.default


def test_units():
    units = {setting.name: setting.unit for setting in ALL}
    assert units["mtu_length"] == "bytes"
    assert units["timer_interval_ns"] == "ns"
    assert units["driver_timeout_ms"] == "ms"
    assert units["driver_timeout"] == "s"
    assert units["threading_mode"] == ""


@pytest.mark.parametrize(
    "name", ["mtu_length", "mtu-length", "--mtu-length", "AERON_MTU_LENGTH", "aeron.mtu.length"]
)
def test_explain_knows_a_setting_by_every_name(name, monkeypatch):
    monkeypatch.setenv("AERON_MTU_LENGTH", "8k")
    arguments = ["--", name] if name.startswith("-") else [name]
    (row,) = json.loads(run("explain", "--json", *arguments).stdout)["settings"]
    assert row["name"] == "mtu_length"
    assert row["variable"] == "AERON_MTU_LENGTH"
    assert (row["kind"], row["unit"], row["default"]) == ("size", "bytes", "1408")
    assert "from 32 to 65504" in row["allowed"]
    assert row["environment"] == "8k"
    assert row["has_effect"]
    assert "environment  8k" in run("explain", *arguments).stdout


def test_explain_tells_driver_and_client_apart():
    rows = json.loads(run("explain", "AERON_DRIVER_TIMEOUT", "--json").stdout)["settings"]
    assert [(row["of"], row["name"]) for row in rows] == [
        ("driver", "driver_timeout_ms"),
        ("client", "driver_timeout"),
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mtu_lenght", "mtu_length"), ("AERON_TREADING_MODE", "AERON_THREADING_MODE"), ("linger", "")],
)
def test_explain_suggests_what_may_have_been_meant(name, meant):
    (line,) = run("explain", name, code=1).stderr.splitlines()
    assert f"no setting {name!r}: did you mean " in line
    assert meant in line
    assert "linger" in line or name != "linger"


def test_list_and_show(file, monkeypatch):
    monkeypatch.delenv("AERON_DIR", raising=False)
    assert len(json.loads(run("list", "--json").stdout)["settings"]) == len(ALL)
    assert "AERON_MTU_LENGTH" in run("list").stdout
    path = str(file("[driver]\nmtu_length = 4096\n[client]\nidle_sleep = 1.0"))
    shown = json.loads(run("show", "--config", path, "--json").stdout)
    assert shown["driver"]["mtu_length"] == 4096
    assert shown["client"]["idle_sleep"] == 1.0
    text = run("show", "--config", path).stdout
    assert "driver.mtu_length = 4k  # changed" in text
    assert "client.idle_sleep = 1s  # changed" in text
    bad = str(file("[driver]\nmtu_lenght = 4096"))
    (line,) = run("show", "--config", bad, code=2).stderr.splitlines()
    assert "did you mean mtu_length" in line
