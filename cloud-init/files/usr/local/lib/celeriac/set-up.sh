# shellcheck shell=bash
# shellcheck disable=SC2034,SC2086 # what others use; and the paths that are set here are single words
# What the program `celeriac` is made of on every machine, whatever its role: it sets itself up, and tells how far it is.
# Lines that begin with "celeriac: " are what the launcher reads from the console; details go to the log.
umask 022
cd /
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive
export PYTHON=/usr/bin/python3 PIP_NO_CACHE_DIR=1 GIT_TERMINAL_PROMPT=0

readonly CODE=/opt/celeriac/code.git CONFIG=/etc/celeriac
readonly LOG=/var/log/celeriac-setup.log
# What cloud-init runs at each boot as long as it is there.
readonly UNFINISHED=/var/lib/cloud/scripts/per-boot/celeriac
# Where models are pushed to, and as whom, on a machine that serves.
readonly PUSHER=celeriac-models MODELS_REPOSITORY=/var/lib/celeriac/models.git
readonly UPLOAD_S=1800 FETCH_S=600 REPAIR_S=60

stage=start stage_began=$EPOCHREALTIME
reason="" command=""
undo=: # what takes back a change that did not work out

### What is said, and where

say() { echo "celeriac: $*" 2>/dev/null || true; }

note() { echo "$(date --iso-8601=seconds) $*" >>"$LOG"; }

begin() {
    end_stage
    stage=$1 stage_began=$EPOCHREALTIME
    say "stage $stage"
}

end_stage() {
    note "stage $stage: $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $stage_began }") s"
}

fail() {
    reason=$*
    exit 1
}

# Runs a command with its output in the log; the last line of it is the reason if it fails.
try() {
    note "+ $*"
    local output code=0
    output=$("$@" 2>&1 9>&-) || code=$?
    [ -z "$output" ] || echo "$output" >>"$LOG"
    [ $code = 0 ] || fail "$1 ended with $code: $(grep . <<<"$output" | tail -n 1)"
}

at_exit() {
    local code=$?
    trap - EXIT
    trap '' HUP INT TERM
    [ $code = 0 ] && exit
    set +e
    $undo
    reason=$(tr -s '[:space:]' ' ' <<<"${reason:-$command ended with $code}" | cut -c 1-400)
    note "failed in stage $stage: $reason"
    say "failed $stage: $reason"
    exit "$code"
}

### The parts of a set-up

introduce() {
    local key
    say "login $(login_user)"
    for key in /etc/ssh/ssh_host_{ed25519,ecdsa,rsa}_key.pub; do
        [ ! -e "$key" ] || say "host-key $(cut -d ' ' -f 1,2 "$key")"
    done
}

# The user that the distribution's images let in.
login_user() {
    local name key
    for key in merged_system_cfg merged_cfg; do
        name=$(cloud-init query "$key.system_info.default_user.name" 2>/dev/null) || continue
        ! id -u "$name" >/dev/null 2>&1 || { echo "$name"; return; }
    done
    getent passwd 1000 | cut -d : -f 1
}

# Python packages are built for processors of 2009 and later; a cloud may show its guests an older one.
check_processor() {
    local flag
    [ "$(uname -m)" = x86_64 ] || return 0
    for flag in cx16 popcnt sse4_1 sse4_2 ssse3; do
        grep -qw "$flag" /proc/cpuinfo || fail "the cloud shows a processor without $flag (x86-64-v2 is needed)"
    done
}

# cloud-init goes on when packages cannot be installed, and they are tried once more here.
install_packages() {
    local missing=() name
    for name in $(needed_packages); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    repair_packages
    [ ${#missing[@]} = 0 ] && return
    note "missing: ${missing[*]}"
    try apt-get update
    try apt-get install -y --no-install-recommends "${missing[@]}"
}

# apt refuses to work after a dpkg that was cut off. Unlike apt, dpkg does not wait for another one to end.
repair_packages() {
    local deadline=$((SECONDS + REPAIR_S))
    [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ] || return 0
    note "+ dpkg --configure -a"
    until dpkg --configure -a >>$LOG 2>&1 9>&- || [ $SECONDS -ge $deadline ]; do
        sleep 5
    done
}

# Where the code is pushed to, by the login user, or fetched to.
prepare_code() {
    install -d -m 0755 /opt/celeriac $CODE $CONFIG
    find $CODE -name '*.lock' -delete # of a git that was cut off
    try git init --quiet --bare $CODE
    in_code config receive.shallowUpdate true
    in_code config gc.auto 0
    own_code
}

prepare_system() {
    systemctl daemon-reload
    systemctl restart systemd-journald
    systemctl try-restart systemd-resolved 2>/dev/null || note "names are not resolved by systemd-resolved"
    systemctl enable --quiet --now systemd-timesyncd || note "time is not synchronised"
}

value_of() { sed -n "s/^$1=//p" "$2" 2>/dev/null | tail -n 1; }

# Whoever pushes the code must be able to write where root has fetched some.
own_code() { chown -R "$(login_user)": $CODE; }

in_code() { git -c safe.directory=$CODE --git-dir $CODE "$@"; }

# Whether a commit is there with all of its files: a git that was cut off may have brought some of them.
has_commit() { in_code rev-list --quiet --objects --no-walk "$1^{commit}" 2>/dev/null; }

obtain() {
    local commit=$1 repository
    repository=$(value_of repository $CONFIG/instance.env)
    if [ -n "$repository" ]; then
        begin code
        has_commit "$commit" || fetch "$repository" "$commit"
    else
        begin upload
        await_upload "$commit"
        begin code
    fi
    [ "$(in_code rev-parse --verify "$commit^{commit}")" = "$commit" ] || fail "$commit is not what was fetched"
}

# One commit if the server hands out single ones, else everything.
fetch() {
    local repository=$1 commit=$2
    note "fetching $commit from $repository"
    if timeout $FETCH_S git -c safe.directory=$CODE --git-dir $CODE \
        fetch --quiet --no-tags --depth 1 "$repository" "+$commit:refs/celeriac/$commit" >>$LOG 2>&1 9>&-; then
        own_code
        return
    fi
    note "the server does not hand out that commit alone: fetching all"
    try timeout $FETCH_S git -c safe.directory=$CODE --git-dir $CODE \
        fetch --quiet --no-tags "$repository" '+refs/*:refs/fetched/*'
    has_commit "$commit" || fail "$repository has no commit $commit"
    in_code update-ref "refs/celeriac/$commit" "$commit"
    own_code
}

await_upload() {
    local deadline=$((SECONDS + UPLOAD_S))
    until has_commit "$1"; do
        [ $SECONDS -lt $deadline ] || fail "nobody pushed commit $1 to $CODE within $((UPLOAD_S / 60)) minutes"
        sleep 1
    done
}

### How it is called

complain() {
    echo "error: $*" >&2
    exit 1
}

refuse() {
    echo "error: $*; \`celeriac help\` says what there is" >&2
    exit 2
}

need_commit() {
    [[ $1 =~ ^[0-9a-f]{40}$ ]] || refuse "a commit is 40 hexadecimal digits, not '$1'"
}

# What this program starts does not inherit the lock: it may outlive it. In the file is who has it, for whoever comes meanwhile.
as_the_only_one() {
    exec 9<>/run/celeriac.lock
    flock --nonblock 9 || complain "another celeriac is at work: $(cat /run/celeriac.lock)"
    echo "$*, for ${SUDO_USER:-root}, since $(date '+%H:%M:%S %Z')" >/run/celeriac.lock
}

# As the only one, with what is said on the console: undone and told if it fails.
begin_command() {
    as_the_only_one "$@"
    trap at_exit EXIT
    trap 'command=$BASH_COMMAND' ERR
    trap 'fail "interrupted"' HUP INT TERM
    trap : PIPE # whoever reads what this says may leave
    note "$*"
}
