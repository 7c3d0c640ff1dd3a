"""Settings: one class, one file, the environment on top, and a sentence for every mistake."""

import pytest

from wattkeeper.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "PORT", "DATA_DIR", "LANGUAGE"):
        monkeypatch.delenv(f"WATTKEEPER_{name}", raising=False)
    return tmp_path


def test_nothing_must_be_set():
    settings = load_settings()
    assert (settings.port, settings.host, settings.language) == (8645, "127.0.0.1", "zh")
    assert settings.ledger == "sqlite:///data/ledger.sqlite"


def test_option_beats_environment_beats_file_beats_default(empty_folder, monkeypatch):
    (empty_folder / "wattkeeper.toml").write_text('port = 1000\nlanguage = "en"\nzone = "Asia/Urumqi"\n')
    monkeypatch.setenv("WATTKEEPER_PORT", "2000")
    monkeypatch.setenv("WATTKEEPER_LANGUAGE", "zh")
    settings = load_settings(port=3000)
    assert (settings.port, settings.language, settings.zone) == (3000, "zh", "Asia/Urumqi")


def test_an_option_not_given_leaves_the_file_alone(empty_folder):
    (empty_folder / "wattkeeper.toml").write_text("port = 1000\n")
    assert load_settings(port=None).port == 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("port = = 1", "wattkeeper.toml is not valid TOML", id="not_toml"),
        pytest.param("prot = 8645", "there is no setting `prot`", id="unknown_name"),
        pytest.param(
            "port = 99999", "`port` (from wattkeeper.toml or the command line) = 99999", id="bad_value"
        ),
    ],
)
def test_a_mistake_in_the_file_is_named(empty_folder, text, said):
    (empty_folder / "wattkeeper.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert said in caught.value.message
    assert caught.value.hint


def test_a_bad_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("WATTKEEPER_PORT", "many")
    with pytest.raises(SettingsError, match=r"`port` \(from WATTKEEPER_PORT"):
        load_settings()


def test_a_named_config_file_must_exist(monkeypatch):
    monkeypatch.setenv("WATTKEEPER_CONFIG", "/nowhere/wattkeeper.toml")
    with pytest.raises(SettingsError, match="which is not a file"):
        load_settings()


@pytest.mark.parametrize("password", ["", "02123456"], ids=["no_commands", "level_and_password"])
def test_a_meter_password_is_kept_as_given_and_not_shown(password):
    settings = load_settings(meter_password=password)
    assert settings.meter_password.get_secret_value() == password
    assert "02123456" not in repr(settings)


@pytest.mark.parametrize("password", ["987654", "987654321", "0212345a", "02 12345", "０２１２３４５６"])
def test_a_meter_password_that_is_no_8_digits_is_refused_and_not_repeated(monkeypatch, password):
    monkeypatch.setenv("WATTKEEPER_METER_PASSWORD", password)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    told = f"{caught.value.message} {caught.value.hint}"
    assert "a meter password has 8 digits: level and password, such as 02123456" in told
    assert password not in told


@pytest.mark.parametrize(
    "url",
    ["https://meters.example.org", "https://10.0.0.7:8645", "http://127.0.0.1:8645", "http://localhost"],
)
def test_readings_are_sent_over_tls_or_within_this_machine(url):
    settings = load_settings(forward_url=url, forward_token="wk_secret")
    assert settings.forward_url == url
    assert "wk_secret" not in repr(settings)


@pytest.mark.parametrize(
    "url", ["http://meters.example.org", "meters.example.org", "https://a/b", "http://localhost.evil"]
)
def test_a_platform_that_would_get_the_token_in_the_clear_is_refused(url):
    with pytest.raises(SettingsError, match="forward_url"):
        load_settings(forward_url=url, forward_token="wk_secret")


def test_a_platform_needs_a_token_which_no_error_repeats():
    with pytest.raises(SettingsError, match="forward_url needs forward_token"):
        load_settings(forward_url="https://meters.example.org")
    with pytest.raises(SettingsError) as refused:
        load_settings(forward_token=["wk_secret"])
    assert "wk_secret" not in str(refused.value)
