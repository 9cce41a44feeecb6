"""Finds out which code an instance shall run, and whether the instance can get it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from client.errors import InputError, Refused

UPLOADED, IN_IMAGE = "upload", "image"
CHECKOUT = Path(__file__).parents[3]
TIMEOUT_S = 60

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SSH_URL = re.compile(r"(?:ssh://)?(?:[\w.-]+@)(?P<host>[\w.-]+)(?::\d+(?=/))?[:/](?P<path>.+)")
# No credentials and no query, where some put them: a repository's URL reaches logs, user-data and command lines.
_FETCHED_URL = re.compile(r"(https?|git)://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~+%-]+)+/?")


@dataclass(frozen=True)
class CodeRequest:
    """Where the instance's code shall come from; what is None is found out."""

    repository: str | None = None
    commit: str | None = None
    is_uploaded: bool = False

    @property
    def is_open(self) -> bool:
        """Nothing was asked for."""
        return self == CodeRequest()


@dataclass(frozen=True)
class Code:
    """One commit (40 hexadecimal digits) and where it comes from: a URL, UPLOADED (from this checkout), or IN_IMAGE."""

    commit: str
    origin: str

    @property
    def repository(self) -> str | None:
        """The URL, if it is one."""
        return None if self.origin in {UPLOADED, IN_IMAGE} else self.origin

    @property
    def is_uploaded(self) -> bool:
        return self.origin == UPLOADED


def find_code(asked: CodeRequest, *, checkout: Path = CHECKOUT) -> Code:
    """What the user asked for, or this checkout's HEAD and origin; asks nobody.

    Raises:
        InputError: There is no such commit or origin here, or the URL is not one that an instance can fetch from.
    """
    if asked.is_uploaded:
        return Code(_commit_here(checkout, "HEAD"), UPLOADED)
    repository = fetched_url(asked.repository or _origin(checkout))
    if asked.repository and not asked.commit:
        return Code(_commit_there(repository, "HEAD"), repository)
    if asked.commit is None:
        return Code(_commit_here(checkout, "HEAD"), repository)
    if is_commit(asked.commit):
        return Code(asked.commit, repository)
    if asked.repository:
        return Code(_commit_there(repository, asked.commit), repository)
    return Code(_commit_here(checkout, asked.commit), repository)


def check_is_pushed(code: Code, *, checkout: Path = CHECKOUT) -> None:
    """Whether an instance, which has no credentials, can fetch the commit; a commit that is pushed from here is fine.

    Raises:
        Refused: It cannot.
    """
    if code.repository is None:
        return
    tips = _tips(code.repository)
    if any(commit == code.commit and f"{name}^{{}}" in tips for name, commit in tips.items()):
        raise Refused(f"{code.commit} is a tag, not a commit: name the tag", code="not_pushed")
    if code.commit in tips.values() or any(_is_ancestor(checkout, code.commit, tip) for tip in tips.values()):
        return
    if not _can_be_fetched(code):
        raise Refused(
            f"commit {code.commit[:12]} is not in {code.repository}: push it, or take --upload",
            code="not_pushed",
        )


def uncommitted(checkout: Path = CHECKOUT) -> int:
    """How many files of the checkout differ from its HEAD; they are not part of what is launched."""
    status = _git("status", "--porcelain", "--untracked-files=no", checkout=checkout)
    return len(status.splitlines()) if status else 0


def fetched_url(url: str) -> str:
    """The URL as an instance without credentials fetches it: git@host:path becomes https://host/path.

    Raises:
        InputError: It is not https://, http:// or git://, or it carries credentials, which user-data must not.
    """
    is_ssh = "://" not in url or url.startswith("ssh://")
    if is_ssh and (parts := _SSH_URL.fullmatch(url)):
        url = f"https://{parts['host']}/{parts['path']}"
    if is_repository(url):
        return url
    if re.search(r"://.*[@?#]", url):
        raise InputError(
            "the repository's URL carries credentials: any process of an instance could read them"
        )
    raise InputError(f"an instance fetches from https://, http:// or git://; got {url!r}. Or take --upload")


def is_commit(text: str | None) -> bool:
    """Whether it is the full hash of a commit."""
    return text is not None and _COMMIT.fullmatch(text) is not None


def is_repository(url: str) -> bool:
    """Whether an instance can fetch from a URL, and may be told it: user-data is readable by every process there."""
    return _FETCHED_URL.fullmatch(url) is not None


def _origin(checkout: Path) -> str:
    url = _git("remote", "get-url", "origin", checkout=checkout)
    if url is None:
        raise InputError(f"{checkout} has no git remote `origin`: name a --repository, or take --upload")
    return url


def _commit_here(checkout: Path, revision: str) -> str:
    # What stands in a folder of some other repository is no checkout of it.
    if _git("rev-parse", "--show-toplevel", checkout=checkout) != str(checkout.resolve()):
        raise InputError(
            f"{checkout} is not a git checkout: clone the repository, or name a --repository and --commit"
        )
    commit = _git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", checkout=checkout
    )
    if commit is None:
        raise InputError(f"{checkout} has no commit {revision!r}")
    return commit


def _commit_there(repository: str, revision: str) -> str:
    tips = _tips(repository)
    full = (revision, f"refs/tags/{revision}", f"refs/heads/{revision}")
    names = [name for each in full for name in (f"{each}^{{}}", each)]
    for name in names:
        if name in tips:
            return tips[name]
    raise InputError(f"{repository} has no branch or tag {revision!r}")


def _tips(repository: str) -> dict[str, str]:
    """The commits of a repository's HEAD, branches and tags, by name."""
    listing = _git_as_a_stranger("ls-remote", "--quiet", "--", repository)
    if listing is None:
        raise Refused(
            f"{repository} cannot be read without credentials: make it public, or take --upload",
            code="not_pushed",
        )
    return {name: commit for commit, _, name in (line.partition("\t") for line in listing.splitlines())}


def _is_ancestor(checkout: Path, commit: str, tip: str) -> bool:
    return _git("merge-base", "--is-ancestor", commit, tip, checkout=checkout) is not None


def _can_be_fetched(code: Code) -> bool:
    fetch = ("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--", str(code.repository), code.commit)
    return _git_as_a_stranger(*fetch) is not None


def _git_as_a_stranger(*arguments: str) -> str | None:
    """Git as an instance runs it: without this user's credentials, headers and rewritten URLs."""
    with tempfile.TemporaryDirectory(prefix="celeriac-") as home:
        empty = Path(home)
        _git("init", "--quiet", "--bare", checkout=empty)
        nobody = {
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return _git(*arguments, checkout=empty, **nobody)


def _git(*arguments: str, checkout: Path, **env: str) -> str | None:
    """What git prints; None if it fails. It asks nobody for a password and takes none from a helper.

    Raises:
        InputError: There is no git.
    """
    own = {name: value for name, value in os.environ.items() if name not in {"GIT_DIR", "GIT_WORK_TREE"}}
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), "-c", "credential.helper=", *arguments],
            env={**own, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", **env},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except FileNotFoundError as error:
        raise InputError("git is not installed") from error
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
