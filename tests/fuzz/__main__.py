"""`make fuzz`: atheris, which follows the code that an input runs through, tries to break each decoder."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import click

from tests.fuzz.decoders import DECODERS

SLOW_S, MEMORY_MB, LONGEST_BYTES = 60, 2048, 20_000
"""Code that tells where it runs takes twenty times as long, and others may want the machine."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[DECODER]...")
@click.option("--seconds", default=600, show_default=True, help="How long each is tried.")
@click.option(
    "--folder",
    default=".fuzz",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where inputs are kept.",
)
def main(names: tuple[str, ...], seconds: int, folder: Path) -> None:
    """Try to break what reads bytes of strangers, all of it unless DECODERs are named.

    An input that breaks one is kept in the folder; copied to tests/fuzz/found/<decoder>/ it is tried in each run of the
    tests. Exit code 1: something broke.
    """
    unknown = [name for name in names if name not in DECODERS]
    if unknown:
        raise click.UsageError(f"there is no decoder {unknown[0]!r}: {', '.join(DECODERS)}")
    broken = [name for name in names or DECODERS if not _holds(name, seconds, folder.absolute())]
    if broken:
        raise click.ClickException(f"broken: {', '.join(broken)}")


def _holds(name: str, seconds: int, folder: Path) -> bool:
    """Whether a decoder, in a process of its own, holds that long; says how often it was tried."""
    corpus, found = folder / name / "corpus", folder / name / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    for number, seed in enumerate(DECODERS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / name / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in DECODERS[name].words))
    options = [
        f"-max_total_time={seconds}", f"-timeout={SLOW_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST_BYTES}",
        f"-dict={words}", f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=0",
    ]  # fmt: skip
    command = [sys.executable, "-m", "tests.fuzz.one", name, *options, str(corpus)]
    began = time.monotonic()
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    count = re.search(r"number_of_executed_units: (\d+)", done.stderr) or re.search(
        r"Done (\d+)", done.stderr
    )
    tried = int(count[1]) if count else 0
    took_s, ended = time.monotonic() - began, "BROKE" if done.returncode else "held"
    click.echo(f"{name}: {tried:,} inputs in {took_s:.0f} s: {ended}")
    if done.returncode:
        click.echo(done.stderr[-4000:], err=True)
    return not done.returncode


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
