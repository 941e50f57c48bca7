from pathlib import Path

import pytest

from sandbox.eventlog import keys


def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    keys.load_or_create(tmp_path, "log.example")
    (tmp_path / keys.FILE_NAME).chmod(0o644)
    with pytest.raises(keys.BadKeyFile, match="chmod 600"):
        keys.load_or_create(tmp_path, "log.example")


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "00" * 33])
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / keys.FILE_NAME
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(keys.BadKeyFile):
        keys.load_or_create(tmp_path, "log.example")
    assert path.read_text() == content


def test_the_key_is_made_once_private_and_read_again(tmp_path: Path) -> None:
    first = keys.load_or_create(tmp_path / "keys", "log.example")
    again = keys.load_or_create(tmp_path / "keys", "log.example")
    assert first.vkey(1) == again.vkey(1)
    path = tmp_path / "keys" / keys.FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    names = {file.name for file in path.parent.iterdir()}
    assert names == {keys.FILE_NAME, keys.PUBLIC_FILE_NAME}
    assert keys.load_vkey(tmp_path / "keys", "log.example") == first.vkey(1)


def test_every_epoch_signs_under_its_own_name_with_the_same_key(tmp_path: Path) -> None:
    key = keys.load_or_create(tmp_path, "kzte-sandbox.local/log")
    first, second = key.signer(1).verifier, key.signer(2).verifier
    assert (first.name, second.name) == ("kzte-sandbox.local/log/e1", "kzte-sandbox.local/log/e2")
    assert first.public == second.public
    assert first.id != second.id
