"""What the parts of a cloud-config look like, as cloud-init documents them.

cloud-init's own schema lets a misspelt top-level key pass: it is ignored, and what it should have done does not happen.
"""

from __future__ import annotations

from typing import Any

BOOLEAN, TEXT, LIST, MAPPING = "true or false", "text", "a list", "a mapping"
KINDS: dict[str, type | tuple[type, ...]] = {BOOLEAN: bool, TEXT: str, LIST: list, MAPPING: dict}

_KEYS_OF_SHAPE = {
    (BOOLEAN,): """
        allow_public_ssh_keys disable_ec2_metadata disable_root manage_resolv_conf migrate no_ssh_fingerprints
        package_reboot_if_required package_update package_upgrade prefer_fqdn_over_hostname preserve_hostname
        ssh_deletekeys ssh_quiet_keygen""",
    (TEXT,): """authkey_hash byobu_by_default disable_root_opts final_message fqdn hostname locale locale_configfile
        password timezone yum_repo_dir""",
    (LIST,): """bootcmd cloud_config_modules cloud_final_modules cloud_init_modules fs_setup mount_default_fields mounts
        packages runcmd ssh_authorized_keys ssh_fp_console_blacklist ssh_genkeytypes ssh_import_id
        ssh_key_console_blacklist write_files""",
    (MAPPING,): """
        ansible apk_repos apt autoinstall ca_certs chef chpasswd device_aliases disk_setup drivers fan growpart
        grub_dpkg keyboard landscape lxd mcollective ntp output phone_home power_state puppet random_seed reporting
        resolv_conf rh_subscription rsyslog salt_minion snap spacewalk ssh ssh_keys ssh_publish_hostkeys swap
        system_info ubuntu_pro updates vendor_data wireguard yum_repos zypper""",
    (BOOLEAN, TEXT): "apt_pipelining manage_etc_hosts resize_rootfs ssh_pwauth",
    (TEXT, MAPPING): "user",
    (TEXT, LIST, MAPPING): "groups users",
}  # fmt: skip

SHAPES = {key: shape for shape, keys in _KEYS_OF_SHAPE.items() for key in keys.split()}
"""Every top-level key that cloud-init reads, and what it takes. Obsolete spellings are left out."""

FILE_KEYS = {"path", "content", "permissions", "owner", "encoding", "append", "defer", "source"}


def shape_faults(content: Any) -> list[str]:
    """The keys that cloud-init does not know, and values that are not what it takes."""
    if not isinstance(content, dict):
        return ["it is not a mapping of keys to values"]
    faults = [fault for key, value in content.items() for fault in _key_faults(str(key), value)]
    for check, key in (
        (_file_faults, "write_files"),
        (_command_faults, "runcmd"),
        (_command_faults, "bootcmd"),
    ):
        entries = content.get(key)
        if isinstance(entries, list):
            faults += [f"{key}[{n}]: {fault}" for n, entry in enumerate(entries) for fault in check(entry)]
    return faults


def _key_faults(key: str, value: Any) -> list[str]:
    shape = SHAPES.get(key)
    if shape is None:
        return [f"{key}: cloud-init knows no such key"]
    if not any(isinstance(value, KINDS[kind]) for kind in shape):
        return [f"{key}: expected {' or '.join(shape)}, got {type(value).__name__}"]
    return []


def _file_faults(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return ["expected a mapping"]
    faults = [f"cloud-init knows no key {key!r} of a file" for key in entry if key not in FILE_KEYS]
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        faults.append("expected an absolute path")
    # A number would be read as decimal: 0755 without quotes is something else.
    if not isinstance(entry.get("permissions", ""), str):
        faults.append("expected permissions as text, in quotes")
    if not isinstance(entry.get("content", ""), str):
        faults.append("expected content as text")
    return faults


def _command_faults(entry: Any) -> list[str]:
    if isinstance(entry, str) or (
        isinstance(entry, list) and entry and all(isinstance(word, str) for word in entry)
    ):
        return []
    return ["expected a command: text, or a list of words in quotes"]
