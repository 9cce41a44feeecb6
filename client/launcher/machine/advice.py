"""What to try when an instance does not come up. Pure."""

from __future__ import annotations

# What a message says, in lower case, and what helps; all that fit are given, in this order.
_ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("no valid host", "not enough"),
        "a smaller --flavor: no host of the cloud has room for this one; or later",
    ),
    (
        ("exceeded maximum number of retries", "failed to allocate the network"),
        "another --network, or once more",
    ),
    (
        ("image", "block device"),
        "another --image; the cloud's images are listed if you name none that exists",
    ),
    (
        ("packages", "apt", "install"),
        "whether the instance's network reaches the package mirrors: has it a router and a name server?",
    ),
    (("code", "repository"), "whether the instance reaches the git repository; --upload needs nobody else"),
    (
        ("images:", "registry", "pull"),
        "whether the instance reaches the registry; --registry-ca, if it has an authority of its own",
    ),
    (("environment", "pip"), "whether the instance reaches a Python package mirror; more --timeout"),
    (
        ("processor",),
        "a --flavor or a region of newer machines; or ask the cloud for the CPU model of its hosts",
    ),
    (("memory", "killed"), "a --flavor with more memory"),
    (
        ("time is up",),
        "a longer --timeout; a second run with the same name goes on waiting, if this one had --keep",
    ),
    (("time is up",), "whether your address is in --allow-from, and the floating IP is reachable from here"),
    (
        ("time is up",),
        "with --domain, whether the name points to the instance: after a reboot only that tells",
    ),
)
_ALWAYS = "--keep, then ssh to the instance: journalctl -b, /var/log/cloud-init-output.log"


def advice_for(failure: str) -> tuple[str, ...]:
    """What may help against a failure, one line each, the most particular first."""
    said = failure.lower()
    fitting = [advice for words, advice in _ADVICE if any(word in said for word in words)]
    return (*fitting, _ALWAYS)
