# shellcheck shell=bash
# shellcheck disable=SC2086 # the paths that `celeriac` sets are single words
# The part of `celeriac` for a service that runs in containers, under Compose: docker/ and tools/compose of each release.

export COMPOSE_FILE=$CURRENT/docker/docker-compose.yml
readonly SETTINGS=$CONFIG/compose.env SECRETS=$CONFIG/secrets MODELS=$STATE/models
readonly ENGINE=25 COMPOSE=2.26 UP_S=600 MAX_CRASHES=4
# What no container may reach.
readonly RULE="DOCKER-USER -d 169.254.0.0/16 -j REJECT"

unit_commands() { printf '%s\n' start stop; }

# The number that the images have for it.
service_group() { echo 10001; }

### Preparing

needed_packages() {
    echo git iptables apparmor openssl docker.io docker-buildx
    case $(distribution) in
    ubuntu*) echo docker-compose-v2 ;;
    *) echo docker-cli docker-compose ;;
    esac
    echo unattended-upgrades logrotate ca-certificates systemd-timesyncd
}

# Such as `debian 13`.
distribution() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "$ID ${VERSION_ID:-}")
}

is_at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

check_distribution() {
    local name version
    read -r name version < <(distribution)
    case $name in
    debian) is_at_least 13 "$version" && return ;;
    ubuntu) is_at_least 24.04 "$version" && return ;;
    esac
    fail "$name $version has no engine $ENGINE and Compose $COMPOSE among its packages: containers need Debian 13 or Ubuntu 24.04"
}

prepare_services() {
    install -d -m 0755 $RELEASES $STATE
    # The containers' user makes versions there.
    install -d -m 0755 -o 10001 -g 10001 $MODELS
    [ -e $SETTINGS ] || write_settings
    try systemctl enable --quiet --now docker.service
    # An engine that was there before its settings.
    iptables -w -C $RULE 2>/dev/null || try systemctl restart docker.service
    try iptables -w -C $RULE
    check_engine
}

check_engine() {
    local version
    version=$(docker version --format '{{.Server.Version}}' 2>/dev/null) || fail "the Docker engine does not answer"
    is_at_least $ENGINE "$version" || fail "the Docker engine is $version, $ENGINE or newer is needed"
    version=$(docker compose version --short 2>/dev/null) || fail "there is no docker compose"
    is_at_least $COMPOSE "${version#v}" || fail "Compose is $version, $COMPOSE or newer is needed"
}

write_settings() {
    write_secret $SETTINGS root "\
# What Compose is told; docker/docker-compose.yml of a release names all that can be set. After an edit:
# systemctl reload celeriac
BIND=0.0.0.0
SECRETS_DIR=$SECRETS
TLS_DIR=$TLS
MODEL_STORE=$MODELS
IMAGE_PREFIX=$(value_of image_prefix $CONFIG/instance.env)"
}

### Building

furnish() {
    local draft=$1 commit=$2
    [ -x "$draft/tools/compose" ] || fail "$commit cannot run in containers: it has no tools/compose"
    tell_compose "$draft" "$commit"
    begin images
    try "$draft/tools/compose" build
}

# tell_compose RELEASE COMMIT: Compose reads what is beside its file.
tell_compose() { write_secret "$1/docker/.env" root "$(cat $SETTINGS && echo "IMAGE_TAG=$2")"; }

make_ready_for() { :; }

### Keys

first_key_file() { echo $SECRETS/first_key; }

manage_keys() { docker compose exec -T web python -m production_server keys "$@"; }

### Starting and stopping

is_enabled() { systemctl is-enabled --quiet celeriac.service 2>/dev/null; }

enable_services() { systemctl enable --quiet celeriac.service; }

# Compose replaces the containers that are to be others, and leaves the rest.
start_services() { systemctl reload-or-restart celeriac.service >>$LOG 2>&1; }

restart_services() { start_services; }

stop_services() {
    systemctl disable --quiet celeriac.service
    systemctl stop celeriac.service
    [ ! -L $CURRENT ] || $CURRENT/tools/compose down
}

# As many workers as there are, whether they run or not; at first, as many as the user-data asked for.
start() {
    local number
    count_workers
    tell_compose "$CURRENT" "$(current_commit)"
    number=$(containers --all --filter label=com.docker.compose.service=worker | wc -l)
    # shellcheck disable=SC2154 # set by count_workers
    [ "$number" != 0 ] || number=$workers
    export WORKERS=$number
    # On a slow machine a container may count as unhealthy before it is there.
    until timeout $UP_S $CURRENT/tools/compose up; do
        [ -z "$(failed_part)" ] && [ -n "$(unhealthy_part)" ] && [ $SECONDS -lt $UP_S ] || return 1
        say "waiting for $(unhealthy_part)"
    done
}

stop() { docker compose stop; }

# The names of those that run, or of `--all`.
containers() {
    docker ps --format '{{.Names}}' --filter label=com.docker.compose.project=celeriac \
        --filter label=com.docker.compose.oneoff=False "$@"
}

### How they are

# Ready: the service says so, and every worker that runs is among those that it names.
is_ready() {
    local answer name
    answer=$(ask_readyz) || return 1
    for name in $(containers --filter label=com.docker.compose.service=worker); do
        [[ $answer =~ [^[:alnum:]-]"$name"[^[:alnum:]-] ]] || return 1
    done
}

ask_readyz() {
    local address
    address=$(docker compose port web 5100 2>/dev/null) || return 1
    ask "${address%:*}" "${address##*:}" $TLS/cert.pem
}

# name, state, exit code, restarts and health of each container
states() {
    local found
    mapfile -t found < <(containers --all)
    [ ${#found[@]} = 0 ] || docker inspect --format \
        '{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{with .State.Health}}{{.Status}}{{end}}' "${found[@]}"
}

crashing_part() { states | awk -v most=$MAX_CRASHES '$2 == "restarting" && $4 >= most { print substr($1, 2); exit }'; }

# The first one; awk reads to the end, or docker would fail on a pipe that is closed.
failed_part() { states | awk '!n && ($2 == "restarting" || ($2 == "exited" && $3 != 0)) { n = substr($1, 2) } END { print n }'; }

unhealthy_part() { states | awk '!n && $2 == "running" && $5 == "unhealthy" { n = substr($1, 2) } END { print n }'; }

why_not_ready() {
    local name
    docker compose ps --all >>$LOG 2>&1
    docker compose logs --no-color --tail 60 >>$LOG 2>&1
    name=$(failed_part)
    name=${name:-$(unhealthy_part)}
    if [ -n "$name" ]; then
        echo "container $name does not work: $(last_words "$name")"
    else
        echo "not ready: $(ask_readyz || journalctl --quiet --unit celeriac --output cat _TRANSPORT=stdout | tail -n 1)"
    fi
}

last_words() {
    docker logs --tail 5 "$1" 2>&1 | grep . | tail -n 1 ||
        echo "it says nothing; exit code $(docker inspect --format '{{.State.ExitCode}}' "$1")"
}

show_services() { docker compose ps --all; }

### Forgetting

# Images of releases that are gone.
forget_unused() {
    local image
    for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -E '(^|/)celeriac-[a-z]+:[0-9a-f]{40}$'); do
        [ -d "$RELEASES/${image##*:}" ] || docker image rm "$image" >>$LOG 2>&1 || note "$image is still in use"
    done
    docker image prune --force >>$LOG 2>&1 || true
}

# The images stay: whoever boots from this disk need not fetch them.
forget_services() {
    $CURRENT/tools/compose destroy --yes
    docker builder prune --all --force >/dev/null
    systemctl stop docker.service docker.socket containerd.service
    rm -rf $SECRETS /var/lib/docker/engine-id /etc/docker/key.json
}
