import pytest
from vllm_server import StubServer

from vrft_pl.rollout.vllm.client import Refused, Server, ServerLost, read_token
from vrft_pl.types import InputError


@pytest.fixture(scope="module")
def shared():
    with StubServer(checkpoint=None, token="secret") as server:
        yield server


@pytest.fixture
def server(shared):
    shared.version, shared.weights, shared.fail = "0.32.0", "default", None
    return shared


def test_a_token_opens_a_server_and_nothing_else_does(server):
    assert Server(server.address, "secret").weight_version() == "default"
    for token in (None, "other"):
        with pytest.raises(Refused, match="answered 401.*Give the token it was started with as `token_file`"):
            Server(server.address, token).weight_version()


def test_others_reach_a_server_with_a_token_only():
    with pytest.raises(InputError, match="`token_file` for http://10.0.0.7:8000, which is not on this machine alone"):
        Server("http://10.0.0.7:8000")
    assert Server("http://10.0.0.7:8000", "word")


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", ""])
def test_an_address_is_one(address):
    with pytest.raises(InputError, match=r"an address such as http://127.0.0.1:8000, but got"):
        Server(address)


@pytest.mark.parametrize("content", ["", " \n", "two words\n", "schlüssel"])
def test_a_token_is_a_word(content, tmp_path):
    (tmp_path / "token").write_text(content)
    if content == "two words\n":
        assert read_token(str(tmp_path / "token")) == "two words"
        return
    with pytest.raises(InputError, match="to hold a word of ASCII letters and digits"):
        read_token(str(tmp_path / "token"))


def test_a_token_file_is_there(tmp_path):
    assert read_token(None) is None
    with pytest.raises(InputError, match="a token in .*none`, but it can't be read"):
        read_token(str(tmp_path / "none"))


@pytest.mark.parametrize("version", ["0.32.0", "0.32.7.post1"])
def test_versions_whose_routes_are_known_pass(server, version):
    server.version = version
    Server(server.address, "secret").check_version()


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "1.0", "", "dev"])
def test_other_versions_are_refused(server, version):
    server.version = version
    with pytest.raises(InputError, match=rf"vLLM 0.32 or newer, before 0.33, at .* but got '{version}'"):
        Server(server.address, "secret").check_version()


def test_what_is_not_there_is_lost_and_what_is_wrong_is_refused(server):
    ours = Server(server.address, "secret")
    with pytest.raises(Refused, match=r"answered 404.*Start it by `vrft_pl serve`, which opens all routes") as refused:
        ours.get("nothing")
    assert refused.value.status == 404
    with pytest.raises(ServerLost, match="answered 500"):
        ours.post("update_weights", {})
    with StubServer(checkpoint=None) as gone:
        assert Server(gone.address).is_healthy()
    assert not Server(gone.address).is_healthy()
    with pytest.raises(ServerLost, match=r"127.0.0.1:\d+ does not answer"):
        Server(gone.address).get("version")


def test_a_slow_server_is_lost(server):
    server.answer = lambda *args: __import__("time").sleep(0.5) or (200, {})
    try:
        with pytest.raises(ServerLost, match="does not answer .ReadTimeout"):
            Server(server.address, "secret", timeout=0.1).get("version")
    finally:
        del server.answer


def test_weights_without_a_name_are_refused(server):
    server.weights = None
    with pytest.raises(InputError, match="weight_info to name its weights"):
        Server(server.address, "secret").weight_version()
