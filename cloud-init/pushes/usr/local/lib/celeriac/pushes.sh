# shellcheck shell=bash
# shellcheck disable=SC2086 # the paths that `celeriac` sets are single words
# The part of `celeriac` for a machine with a repository for models: whose pushes it takes, and how.

readonly PUSH_KEYS=$CONFIG/push-keys FIRST_PUSH_KEYS=$CONFIG/first-push-keys
readonly MIN_RSA_BITS=2048

# The shell is what sshd runs a key's command with. No password fits.
prepare_pushes() {
    id -u $PUSHER >/dev/null 2>&1 ||
        try useradd --system --home-dir / --no-create-home --shell /bin/sh --password '*' $PUSHER
    # A key that is none of ours to take must not keep the service from being set up.
    [ -e $PUSH_KEYS ] || (add_push_keys <$FIRST_PUSH_KEYS) 2>>$LOG || note "nobody may push models: celeriac push-keys add"
}

push-keys() {
    case "$# ${1:-}" in
    "1 list") [ ! -s $PUSH_KEYS ] || ssh-keygen -l -f $PUSH_KEYS ;;
    "1 add") add_push_keys ;;
    "2 add") add_push_keys <<<"$2" ;;
    "2 remove") remove_push_key "$2" ;;
    *) refuse "it is push-keys list, push-keys add [KEY] (else from stdin), or push-keys remove FINGERPRINT-OR-COMMENT" ;;
    esac
}

# Public keys from stdin, one a line. One that may push already gets another comment.
add_push_keys() {
    local line added="" number=0
    while read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        case $line in "" | "#"*) continue ;; esac
        line=$(push_key "$line" $number) || exit 1
        added+=$line$'\n'
    done
    change_push_keys with "$added"
}

# push_key LINE NUMBER: the line for sshd. Whatever is in the comment, nothing of it is read by a shell or by sshd.
push_key() {
    local kind key comment bits=""
    read -r kind key comment <<<"$1"
    if [[ $kind =~ ^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp[0-9]+|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$ ]]; then
        bits=$(ssh-keygen -l -f - <<<"$kind $key" 2>/dev/null | cut -d ' ' -f 1) || true
    fi
    [[ -n $bits && $key =~ ^[A-Za-z0-9+/]+=*$ ]] ||
        complain "line $2 is no public key: expected what is in a file such as id_ed25519.pub (type, key, comment)"
    [ $kind != ssh-rsa ] || [ $bits -ge $MIN_RSA_BITS ] ||
        complain "line $2 is an RSA key of $bits bits: expected $MIN_RSA_BITS or more, or an ed25519 key"
    comment=$(tr -c 'A-Za-z0-9@._-' - <<<"${comment:-unnamed}" | cut -c 1-64)
    comment=${comment%-} # of the end of the line
    echo "restrict,command=\"CELERIAC_PUSHER=$comment exec sudo -n /usr/local/sbin/celeriac take-push\" $kind $key $comment"
}

remove_push_key() {
    local line kind key comment found=""
    while read -r line; do
        read -r kind key comment <<<"${line#*\" }"
        case $1 in
        "$comment" | "$key" | "$(fingerprint_of "$kind $key")") found+="$key"$'\n' ;;
        esac
    done < <(cat $PUSH_KEYS 2>/dev/null)
    [ -n "$found" ] || complain "no key that may push is called '$1': \`celeriac push-keys list\` says which there are"
    change_push_keys without "$found"
}

fingerprint_of() { ssh-keygen -l -f - <<<"$1" | cut -d ' ' -f 2; }

# change_push_keys with|without LINES: those that were there and whose key is none of these, and these. By one at a time.
change_push_keys() {
    local lines=$2
    (
        flock 8
        {
            while read -r line; do
                read -r _ key _ <<<"${line#*\" }"
                [[ $'\n'${lines//[[:blank:]]/$'\n'} == *$'\n'"$key"$'\n'* ]] || echo "$line"
            done < <(cat $PUSH_KEYS 2>/dev/null)
            [ $1 = without ] || printf %s "$lines"
        } >$PUSH_KEYS.draft
        chmod 0644 $PUSH_KEYS.draft # sshd reads it as the user who comes
        sync $PUSH_KEYS.draft
        mv $PUSH_KEYS.draft $PUSH_KEYS
    ) 8>/run/celeriac-push-keys.lock
}

# What sshd runs of whoever pushes, by sudo, whatever they asked for: the service's own program says yes or no to that. The
# unit's name gives it the user, the settings and the bounds that all units of the service have.
take-push() {
    [ -L $CURRENT ] || complain "this machine is not set up yet: push again in a minute"
    exec systemd-run --quiet --pipe --wait --collect --unit="celeriac-push-$$" \
        --property=WorkingDirectory=$CURRENT --property=MemoryMax=1G \
        --setenv=SSH_ORIGINAL_COMMAND="${SSH_ORIGINAL_COMMAND:-}" --setenv=CELERIAC_PUSHER="${CELERIAC_PUSHER:-}" \
        $CURRENT/.venv/bin/python -m production_server repository serve $MODELS_REPOSITORY
}
