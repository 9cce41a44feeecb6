# shellcheck shell=bash
# shellcheck disable=SC2086 # the paths that `celeriac` sets are single words
# The part of `celeriac` for a service that runs as units of systemd, with the distribution's RabbitMQ and SQLite.

readonly ENVIRONMENTS=/opt/celeriac/environments
readonly MAX_CRASHES=4 BROKER_ENV=$CONFIG/broker.env BROKER_DEFINITIONS=/etc/rabbitmq/celeriac.json

unit_commands() { echo secrets; }

service_group() { echo celeriac; }

### Preparing

needed_packages() {
    echo git python3-venv rabbitmq-server unattended-upgrades logrotate ca-certificates systemd-timesyncd
    [ -z "$(domain)" ] || echo caddy
}

check_distribution() { :; }

prepare_services() {
    id -u celeriac >/dev/null 2>&1 ||
        try useradd --system --home-dir $STATE --no-create-home --shell /usr/sbin/nologin celeriac
    install -d -m 0755 $ENVIRONMENTS
    install -d -m 0750 -g celeriac $RELEASES
    [ -e $CONFIG/celeriac.env ] || write_settings
    [ -z "$(domain)" ] || start_front
}

# In a baked image it is off; one that was in an image before has read another configuration. Not reloaded: where that
# fails, Caddy 2.6 has systemd wait for ever.
start_front() {
    try systemctl enable --quiet caddy
    try systemctl restart caddy
}

write_settings() {
    write_secret $CONFIG/celeriac.env root "\
# The service's settings (docs/operations.md); after an edit: systemctl restart celeriac.target
# How many workers the machine's cores are shared among:
WORKERS=$workers$(! takes_pushes || printf '\n%s' "MODELS_REPOSITORY=$MODELS_REPOSITORY")"
}

# RabbitMQ starts this before itself, each time.
secrets() {
    local password salt hash
    install -d -m 0755 $CONFIG
    if [ ! -s $BROKER_ENV ]; then
        password=$(openssl rand -hex 24)
        write_secret $BROKER_ENV root "BROKER_URL=amqp://celeriac:$password@127.0.0.1:5672/celeriac"
        rm -f $BROKER_DEFINITIONS
    fi
    [ ! -s $BROKER_DEFINITIONS ] || return 0
    password=$(sed -n 's|^BROKER_URL=amqp://celeriac:\([0-9a-f]*\)@.*|\1|p' $BROKER_ENV)
    salt=$(openssl rand -hex 4)
    # What RabbitMQ keeps of a password: the salt, then SHA-256 of salt and password.
    hash=$(python3 -c '
import base64, hashlib, sys
salt, password = bytes.fromhex(sys.argv[1]), sys.stdin.read().strip().encode()
print(base64.b64encode(salt + hashlib.sha256(salt + password).digest()).decode())' "$salt" <<<"$password")
    write_secret $BROKER_DEFINITIONS rabbitmq "$(broker_definitions "$hash")"
}

broker_definitions() {
    cat <<TEXT
{
  "users": [{"name": "celeriac", "password_hash": "$1",
             "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []}],
  "vhosts": [{"name": "celeriac"}],
  "permissions": [{"user": "celeriac", "vhost": "celeriac", "configure": ".*", "write": ".*", "read": ".*"}]
}
TEXT
}

### Building

# Releases with the same requirements share an environment.
furnish() {
    local draft=$1 environment
    begin environment
    environment=$(environment_of "$draft")
    # It was not finished, or is being made by what a killed set-up left behind.
    [ -e "$environment/compiled" ] || flock "$environment.lock" rm -rf "$environment"
    try "$draft/tools/virtualenv" "$environment" "$draft/requirements.txt"
    # The service cannot write bytecode. Some packages carry files that are no Python of today.
    [ -e "$environment/compiled" ] || python3 -m compileall -q -j 0 "$environment/lib" >>$LOG 2>&1 9>&- || true
    sync -f "$environment"
    touch "$environment/compiled"
    ln -s "$environment" "$draft/.venv"
    try python3 -m compileall -q "$draft/production_server"
    chown -R root:celeriac "$draft"
}

environment_of() {
    local version
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$ENVIRONMENTS/$version-$(sha256sum "$1/requirements.txt" | cut -c 1-16)"
}

make_ready_for() {
    begin broker
    secrets
    try systemctl enable --quiet rabbitmq-server
    try systemctl start rabbitmq-server
    begin database
    migrate "$1"
}

migrate() {
    local unit=celeriac-migrate@$1.service
    note "+ systemctl start $unit"
    systemctl start "$unit" >>$LOG 2>&1 && return
    journalctl --quiet --no-pager --unit "$unit" --lines 30 --output cat >>$LOG
    fail "the database could not be migrated: $(journalctl --quiet --unit "$unit" --output cat _TRANSPORT=stdout | tail -n 1)"
}

### Keys

first_key_file() { echo $STATE/first-key; }

# As the service would, with its settings.
manage_keys() {
    systemd-run --quiet --pipe --wait --collect --uid=celeriac --gid=celeriac --working-directory=$CURRENT \
        --property=UMask=0077 --setenv=STATE_DIR=$STATE --property=EnvironmentFile=-$CONFIG/celeriac.env \
        $CURRENT/.venv/bin/python -m production_server keys "$@"
}

### Starting and stopping

is_enabled() { systemctl is-enabled --quiet celeriac.target 2>/dev/null; }

# How many workers there are after the first set-up is the operator's business.
enable_services() {
    is_enabled || enable_workers
    systemctl enable --quiet celeriac-web celeriac.target
}

enable_workers() {
    local number
    count_workers
    for ((number = 1; number <= workers; number++)); do
        systemctl enable --quiet "celeriac-worker@$number"
    done
}

start_services() { systemctl start celeriac.target >>$LOG 2>&1; }

# Crashes of before do not count.
restart_services() {
    systemctl reset-failed 'celeriac-*' 2>/dev/null || true
    systemctl restart celeriac.target >>$LOG 2>&1
}

stop_services() {
    local workers
    mapfile -t workers < <(enabled_workers)
    systemctl disable --quiet celeriac.target celeriac-web "${workers[@]}"
    systemctl stop celeriac.target 'celeriac-*'
}

enabled_workers() {
    find /etc/systemd/system/celeriac.target.wants -name 'celeriac-worker@*.service' -printf '%f\n' 2>/dev/null | sort -V
}

### How they are

# Ready: the service says so, and every enabled worker is among those that it names (a name holds the process's number).
is_ready() {
    local unit answer pid
    answer=$(ask_readyz) || return 1
    for unit in celeriac-web.service $(enabled_workers); do
        pid=$(main_pid "$unit")
        [ "$pid" != 0 ] || return 1
        case $unit in
        celeriac-worker@*) [[ $answer == *-$pid-* ]] || return 1 ;;
        esac
    done
}

main_pid() { systemctl show --property MainPID --value "$1"; }

# The process itself knows best where it listens, however its settings were written.
ask_readyz() {
    local environment
    environment=/proc/$(main_pid celeriac-web)/environ
    [ -r "$environment" ] || return 1
    ask "$(setting_of "$environment" HOST)" "$(setting_of "$environment" PORT)" "$(setting_of "$environment" TLS_CERT)"
}

setting_of() { tr '\0' '\n' <"$1" | sed -n "s/^$2=//p"; }

crashing_part() {
    local unit
    for unit in celeriac-web.service $(enabled_workers); do
        [ "$(systemctl show --property NRestarts --value "$unit")" -lt $MAX_CRASHES ] || { echo "$unit"; return; }
    done
}

why_not_ready() {
    local unit
    journalctl --quiet --no-pager --unit 'celeriac-*' --lines 60 --output short-iso >>$LOG
    unit=$(crashing_part)
    if [ -n "$unit" ]; then
        echo "$unit crashes: $(last_words "$unit")"
    else
        echo "not ready within $READY_S s: $(ask_readyz || true)"
    fi
}

last_words() {
    journalctl --quiet --unit "$1" --output cat _TRANSPORT=stdout | tail -n 1 | grep . ||
        echo "it says nothing; $(systemctl show --property Result,ExecMainStatus "$1" | paste -s -d ' ')"
}

show_services() { systemctl list-units --no-legend --plain --all 'celeriac*' rabbitmq-server.service caddy.service; }

### Forgetting

# Environments of releases that are gone.
forget_unused() {
    local environment
    for environment in "$ENVIRONMENTS"/*/; do
        environment=${environment%/}
        [ -n "$(find $RELEASES -mindepth 2 -maxdepth 2 -name .venv -lname "$environment")" ] ||
            rm -rf "$environment" "$environment.lock"
    done
}

forget_services() {
    systemctl stop rabbitmq-server epmd.socket epmd.service 2>/dev/null || true
    rm -f $BROKER_DEFINITIONS
    find /var/lib/rabbitmq -mindepth 1 -delete
    [ ! -d /var/lib/caddy ] || forget_front
}

# Certificates, their keys, and the accounts with authorities.
forget_front() {
    systemctl disable --quiet --now caddy
    rm -f /etc/caddy/Caddyfile
    find /var/lib/caddy -mindepth 1 -delete
}
