"""Which commit an instance gets, and whether it can get it; with real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from client.errors import InputError, Refused
from client.launcher.machine.repository import (
    UPLOADED,
    Code,
    CodeRequest,
    check_is_pushed,
    fetched_url,
    find_code,
    uncommitted,
)
from testing.git_daemon import git_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A"), ("EMAIL", "a@b.example"))
}


def git(checkout: Path, *arguments: str) -> str:
    env = os.environ | AUTHOR | {"GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        ["git", "-C", str(checkout), *arguments], env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(checkout: Path, text: str) -> str:
    (checkout / "file").write_text(text)
    git(checkout, "add", "file")
    git(checkout, "commit", "--quiet", "--message", text)
    return git(checkout, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with two commits."""
    path = tmp_path / "checkout"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    commit(path, "one")
    commit(path, "two")
    return path


@pytest.fixture
def url(tmp_path: Path, checkout: Path) -> Iterator[str]:
    """A public copy of the checkout, which is its origin."""
    git(tmp_path, "clone", "--quiet", "--bare", str(checkout), "public.git")
    with git_daemon(tmp_path) as root:
        git(checkout, "remote", "add", "origin", f"{root}/public.git")
        yield f"{root}/public.git"


def head(checkout: Path) -> str:
    return git(checkout, "rev-parse", "HEAD")


def test_without_options_it_is_head_of_origin(checkout: Path, url: str) -> None:
    code = find_code(CodeRequest(), checkout=checkout)

    assert code == Code(head(checkout), url)
    check_is_pushed(code, checkout=checkout)


def test_an_upload_needs_no_origin(checkout: Path) -> None:
    code = find_code(CodeRequest(is_uploaded=True), checkout=checkout)

    assert code == Code(head(checkout), UPLOADED)
    assert code.repository is None
    check_is_pushed(code, checkout=checkout)


def test_without_origin_it_says_what_to_do(checkout: Path) -> None:
    with pytest.raises(InputError, match="no git remote `origin`: name a --repository, or take --upload"):
        find_code(CodeRequest(), checkout=checkout)


def test_a_commit_that_is_not_pushed_is_refused(checkout: Path, url: str) -> None:
    commit(checkout, "three")

    with pytest.raises(Refused, match=r"is not in git://.*: push it, or take --upload"):
        check_is_pushed(find_code(CodeRequest(), checkout=checkout), checkout=checkout)


def test_a_commit_below_a_tip_is_pushed(checkout: Path, url: str) -> None:
    older = git(checkout, "rev-parse", "HEAD~1")

    check_is_pushed(find_code(CodeRequest(commit="HEAD~1"), checkout=checkout), checkout=checkout)
    check_is_pushed(Code(older, url), checkout=Path("/"))


def test_a_commit_that_nobody_has_is_refused(checkout: Path, url: str) -> None:
    with pytest.raises(Refused, match="ffffffffffff is not in"):
        check_is_pushed(Code("f" * 40, url), checkout=checkout)


def test_a_repository_that_cannot_be_read_is_refused(checkout: Path, url: str) -> None:
    with pytest.raises(Refused, match="cannot be read without credentials"):
        check_is_pushed(Code(head(checkout), url.replace("public", "private")), checkout=checkout)


def test_branches_and_tags_of_a_repository_are_pinned_to_their_commits(checkout: Path, url: str) -> None:
    git(checkout, "tag", "--annotate", "--message", "v1", "v1", "HEAD~1")
    git(checkout, "push", "--quiet", "../public.git", "v1", "HEAD:refs/heads/topic")

    of = {name: find_code(CodeRequest(url, name)).commit for name in ("main", "topic", "v1")}

    assert of == {"main": head(checkout), "topic": head(checkout), "v1": git(checkout, "rev-parse", "HEAD~1")}
    assert find_code(CodeRequest(url)).commit == head(checkout)


def test_a_branch_that_does_not_exist_is_refused(checkout: Path, url: str) -> None:
    with pytest.raises(InputError, match="has no branch or tag 'gone'"):
        find_code(CodeRequest(url, "gone"))
    with pytest.raises(InputError, match="has no commit 'gone'"):
        find_code(CodeRequest(commit="gone"), checkout=checkout)


def test_a_tag_object_is_no_commit(checkout: Path, url: str) -> None:
    git(checkout, "tag", "--annotate", "--message", "v1", "v1")
    git(checkout, "push", "--quiet", "../public.git", "v1")
    tag = git(checkout, "rev-parse", "v1")

    with pytest.raises(Refused, match="is a tag, not a commit"):
        check_is_pushed(Code(tag, url), checkout=checkout)
    assert find_code(CodeRequest(url, "refs/tags/v1")).commit == head(checkout)


def test_a_folder_of_another_repository_is_no_checkout(checkout: Path) -> None:
    (checkout / "unpacked").mkdir()

    with pytest.raises(InputError, match="unpacked is not a git checkout"):
        find_code(CodeRequest(is_uploaded=True), checkout=checkout / "unpacked")


def test_the_repository_is_asked_as_a_stranger(
    checkout: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This user's configuration would lead a private URL to the public one; an instance's does not."""
    private = url.replace("public", "private")
    (tmp_path / "gitconfig").write_text(f'[url "{url}"]\n\tinsteadOf = {private}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))

    with pytest.raises(Refused, match="cannot be read without credentials"):
        check_is_pushed(Code(head(checkout), private), checkout=checkout)


def test_what_is_not_committed_is_counted(checkout: Path) -> None:
    assert uncommitted(checkout) == 0

    (checkout / "file").write_text("changed")
    (checkout / "new").write_text("not tracked")

    assert uncommitted(checkout) == 1


@pytest.mark.parametrize(
    ("url", "fetched"),
    [
        ("https://git.example/team/celeriac.git", "https://git.example/team/celeriac.git"),
        ("http://10.0.0.7:8080/celeriac", "http://10.0.0.7:8080/celeriac"),
        ("git://git.example/celeriac", "git://git.example/celeriac"),
        ("git@git.example:team/celeriac.git", "https://git.example/team/celeriac.git"),
        ("ssh://git@git.example/team/celeriac.git", "https://git.example/team/celeriac.git"),
        ("ssh://git@git.example:2222/team/celeriac.git", "https://git.example/team/celeriac.git"),
    ],
)
def test_a_url_is_what_an_instance_without_credentials_fetches(url: str, fetched: str) -> None:
    assert fetched_url(url) == fetched


@pytest.mark.parametrize(
    "url",
    [
        "/srv/celeriac.git",
        "file:///srv/x",
        "ext::sh -c true",
        "https://",
        "-x",
        "http://a b/c",
        "https://[::1/x",
    ],
)
def test_a_url_that_an_instance_cannot_fetch_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="https://, http:// or git://"):
        fetched_url(url)


@pytest.mark.parametrize("url", ["https://user:secret@git.example/x", "https://git.example/x?token=secret"])
def test_a_url_with_credentials_is_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(InputError, match="carries credentials") as error:
        fetched_url(url)

    assert "secret" not in str(error.value)
