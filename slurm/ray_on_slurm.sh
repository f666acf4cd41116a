# A Ray cluster inside one SLURM job: brought up whole, used, taken down, and nothing left behind.
#
#   A batch script sources this file and calls     run_on_ray COMMAND [ARGUMENT...]
#   On every node srun runs                        bash ray_on_slurm.sh node head|worker HEAD_IP PORT [LAUNCH...]
#
# Everything a job uses is its own: port, temporary folder, token. So several jobs, of one user or of many, share a node; and nothing
# here calls `ray stop`, which would end the Ray of the other jobs too.
#
# What may be set before run_on_ray (the defaults suit a plain `sbatch` by hand):
#   DSH_JOB_DIR          folder that every node sees; token, events and the logs of a Ray that failed go there   [the submit directory]
#   DSH_CPUS DSH_GPUS    what Ray may use on each node                             [SLURM_CPUS_PER_TASK or SLURM_CPUS_ON_NODE; SLURM_GPUS_ON_NODE]
#   DSH_MEMORY_MB        memory of the job on each node                            [what SLURM gave; else 90 % of the node]
#   DSH_OBJECT_STORE_MB  of which for Ray's object store                           [a fifth; at most 80 % of /dev/shm]
#   DSH_SCRATCH          folder on each node's own disk, a short path              [/tmp]
#   DSH_INTERFACE        network interface, for example ib0                        [the node's name decides]
#   DSH_PORTS            LOW-HIGH, where the head's ports are taken from           [20000-29999]
#   DSH_START_SECONDS    how long all nodes may take to come up                    [300]
#   DSH_STOP_SECONDS     how long the command may take to stop when warned         [180]
#   DSH_ON_NODE_FAILURE  requeue | continue                                        [requeue]
#   DSH_REQUEUE          1: requeue before the time limit and after a lost node    [1]
#   DSH_MAX_REQUEUES     give up after so many                                     [20]
#   DSH_ACCEPT_FAILED_ITEMS  1: exit code 1 (some items failed) counts as done     [0]
#   DSH_LAUNCH           array: prefix of every command, for example (apptainer exec image.sif)

: "${DSH_JOB_DIR:=${SLURM_SUBMIT_DIR:-$PWD}}" "${DSH_SCRATCH:=/tmp}" "${DSH_INTERFACE:=}" "${DSH_PORTS:=20000-29999}"
: "${DSH_START_SECONDS:=300}" "${DSH_STOP_SECONDS:=180}" "${DSH_ON_NODE_FAILURE:=requeue}" "${DSH_REQUEUE:=1}"
: "${DSH_MAX_REQUEUES:=20}" "${DSH_ACCEPT_FAILED_ITEMS:=0}" "${DSH_MEMORY_MB:=0}" "${DSH_OBJECT_STORE_MB:=0}"
[ -n "${DSH_LAUNCH+set}" ] || DSH_LAUNCH=()
DSH_RESTART=${SLURM_RESTART_COUNT:-0}
DSH_TEMP=$DSH_SCRATCH/dsh-${SLURM_JOB_ID:-0}-$DSH_RESTART
DSH_JOB=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
DSH_JOB=${DSH_JOB:-${SLURM_JOB_ID:-0}}
DSH_LIBRARY=${BASH_SOURCE[0]}

note() { # a line in the log, and in the events that `deepstruc-hpc slurm status` reads
    printf '%s %s\n' "$(date '+%F %T')" "$*"
    printf '%s %s\n' "$(date '+%F %T')" "$*" >> "$DSH_JOB_DIR/events-$DSH_JOB.txt"
}

fail() { # the job ends as FAILED, with its reason
    note "failed: $*"
    exit 70
}

pause() { # sleeps so that a signal is served at once
    sleep "$1" &
    wait $!
}

node_address() { # the IPv4 address by which the other nodes reach this one
    local own name address
    if [ -n "$DSH_INTERFACE" ]; then
        ip -4 -o addr show dev "$DSH_INTERFACE" | awk '{ sub("/.*", "", $4); print $4; exit }'
        return
    fi
    own=" $(hostname -I) "
    for name in "${SLURMD_NODENAME:-}" "$(hostname)"; do
        for address in $(getent ahostsv4 "$name" | awk '{ print $1 }' | sort -u); do
            case "$address" in 127.*) continue ;; esac
            case "$own" in *" $address "*) echo "$address"; return ;; esac
        done
    done
    hostname -I | tr ' ' '\n' | grep -v -e : -e '^127\.' | head -n 1
}

port_is_taken() { (exec 3<> "/dev/tcp/$1/$2") 2> /dev/null; }

free_port() { # three free ports in a row for the head; where the search begins depends on the job, so that jobs on one node differ
    local ip=$1 low=${DSH_PORTS%-*} high=${DSH_PORTS#*-} width port tried
    width=$(((high - low + 1) / 3))
    for ((tried = 0; tried < width && tried < 200; tried++)); do
        port=$((low + 3 * ((SLURM_JOB_ID + tried * 7) % width)))
        port_is_taken "$ip" "$port" || port_is_taken "$ip" $((port + 1)) || { echo "$port"; return 0; }
    done
    return 1
}

# ---------------------------------------------------------------------------------------------------------------- on every node

node_memory_mb() { # memory of this job on this node: Ray would take the node's, other jobs' included
    local cpus=$1
    if [ "$DSH_MEMORY_MB" -gt 0 ]; then
        echo "$DSH_MEMORY_MB"
    elif [ "${SLURM_MEM_PER_NODE:-0}" -gt 0 ]; then
        echo "$SLURM_MEM_PER_NODE"
    elif [ "${SLURM_MEM_PER_CPU:-0}" -gt 0 ]; then
        echo $((SLURM_MEM_PER_CPU * cpus))
    else
        awk '/^MemTotal:/ { print int($2 / 1024 * 0.9) }' /proc/meminfo
    fi
}

own_ray_processes() { # what this node's Ray started: it carries DSH_RAY_ID, or, where it has written its title over that, has files open in DSH_TEMP
    {
        grep -lsz "^DSH_RAY_ID=$DSH_RAY_ID\$" /proc/[0-9]*/environ
        find /proc/[0-9]*/fd -maxdepth 1 -lname "$DSH_TEMP/*" 2> /dev/null
    } | cut -d / -f 3 | sort -u | grep -vx "$$"
    return 0
}

leave_node() { # ends what is left of this job's Ray here, and removes its folder
    local tries left
    for tries in 1 2 3 4 5; do
        left=$(own_ray_processes)
        # shellcheck disable=SC2086  # one word a process
        [ -z "$left" ] || kill -KILL $left 2> /dev/null
        rm -rf "$DSH_TEMP" 2> /dev/null
        [ -n "$left" ] || [ -e "$DSH_TEMP" ] || return 0
        [ "$tries" = 5 ] || sleep 0.2
    done
}

keep_logs() { # of a Ray that ended by itself: the reason is in them
    local kept=$DSH_JOB_DIR/ray-logs-$SLURM_JOB_ID-$DSH_RESTART/${SLURMD_NODENAME:-$(hostname)}
    mkdir -p "$kept"
    cp "$DSH_TEMP"/session_latest/logs/{raylet,gcs_server,dashboard_agent,runtime_env_agent}* "$kept" 2> /dev/null
    echo "Ray ended by itself on ${SLURMD_NODENAME:-$(hostname)}; its logs are kept in $kept"
}

head_is_gone() { # the batch script went down with its node: SLURM keeps a --no-kill job alive without it, doing nothing until its limit
    local shown nodes
    while [ -z "$stopped" ] && ! port_is_taken "$1" "$2"; do
        shown=$(scontrol --oneliner show job "$DSH_JOB" 2> /dev/null)
        [[ $shown == *" JobState=RUNNING "* && $shown == *" Restarts=$DSH_RESTART "* ]] || return 0
        nodes=${shown##* NodeList=}
        nodes=$(scontrol show hostnames "${nodes%% *}")
        if ! grep -qx "$DSH_HEAD_NODE" <<< "$nodes"; then # SLURM has struck it off the job
            [ "$(head -n 1 <<< "$nodes")" = "${SLURMD_NODENAME:-}" ] || return 0 # one of the nodes left is enough
            if [ "$DSH_REQUEUE" = 1 ] && [ "$DSH_RESTART" -lt "$DSH_MAX_REQUEUES" ]; then
                note "requeued: node $DSH_HEAD_NODE was lost, and the batch script with it"
                scontrol requeue "$DSH_JOB" && return 0
            fi
            note "failed: node $DSH_HEAD_NODE was lost, and the batch script with it. Submit again: the work resumes where it stopped"
            scancel "$DSH_JOB"
            return 0
        fi
        pause 5
    done
}

was_too_slow() { # was_too_slow SECONDS: whether a Ray that ended had not come up for want of time; what is wrong at once stays wrong
    ! grep -q "Ray runtime started" "$DSH_TEMP/start.log" || return 1
    [ "$1" -ge 20 ] || grep -q "timed out during startup" "$DSH_TEMP/start.log"
}

run_node() { # run_node head|worker HEAD_IP PORT [LAUNCH...]
    local role=$1 head_ip=$2 port=$3 ip cpus gpus memory store shm stopped="" status tries began
    shift 3
    DSH_LAUNCH=("$@")
    local start=(ray start --block --disable-usage-stats --include-log-monitor=false)
    ip=$(node_address)
    [ -n "$ip" ] || { echo "no IPv4 address on $(hostname)${DSH_INTERFACE:+ for interface $DSH_INTERFACE}"; exit 71; }
    cpus=${DSH_CPUS:-${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}}
    gpus=${DSH_GPUS:-${SLURM_GPUS_ON_NODE:-0}}
    memory=$(node_memory_mb "$cpus")
    store=$DSH_OBJECT_STORE_MB
    shm=$(df --output=avail -BM /dev/shm 2> /dev/null | tail -n 1 | tr -dc 0-9)
    [ "$store" -gt 0 ] || store=$((memory / 5))
    [ -z "$shm" ] || [ "$store" -le $((shm * 4 / 5)) ] || store=$((shm * 4 / 5))
    [ "$store" -ge 80 ] || store=80
    [ "$memory" -gt $((store + 100)) ] || { echo "$memory MB on $(hostname) is too little for Ray: ask SLURM for more memory"; exit 72; }

    export DSH_RAY_ID=$SLURM_JOB_ID-$DSH_RESTART RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
    export RAY_worker_niceness=${RAY_worker_niceness:-0} # the cores are the job's own: Ray's 15 would yield to any stray process
    trap 'stopped=1; kill -TERM "$ray" 2> /dev/null' TERM INT
    mkdir -p "$DSH_TEMP" && chmod 700 "$DSH_TEMP" || { echo "$DSH_TEMP cannot be made on $(hostname): choose another scratch folder"; exit 73; }
    start+=(--node-ip-address="$ip" --num-cpus="$cpus" --num-gpus="$gpus" --temp-dir="$DSH_TEMP")
    start+=(--memory=$(((memory - store) * 1048576)) --object-store-memory=$((store * 1048576)))
    if [ "$role" = head ]; then
        start+=(--head --port="$port" --include-dashboard=false --no-monitor) # nothing to watch for the autoscaler: SLURM's nodes are all there are
        # Where ray[client] is installed a server comes with it, at the same port for every job unless told otherwise.
        ! "${DSH_LAUNCH[@]+"${DSH_LAUNCH[@]}"}" python -c "import grpc" 2> /dev/null || start+=(--ray-client-server-port=$((port + 1)))
    else
        start+=(--address="$head_ip:$port")
    fi
    echo "$role $(hostname) $ip: $cpus CPU, $gpus GPU, $memory MB of which $store MB object store, in $DSH_TEMP"
    for tries in 2 1 0; do
        began=$SECONDS
        "${DSH_LAUNCH[@]+"${DSH_LAUNCH[@]}"}" "${start[@]}" < /dev/null > >(tee "$DSH_TEMP/start.log") 2>&1 &
        ray=$!
        wait "$ray"
        status=$?
        # Ray gives its own processes 30 s, whatever we grant; a slow file system or a head with many nodes to greet may need more.
        { [ -z "$stopped" ] && [ "$tries" -gt 0 ] && was_too_slow $((SECONDS - began)); } || break
        echo "Ray did not start in its 30 s; $tries more attempts"
        leave_node
        mkdir -p "$DSH_TEMP" && chmod 700 "$DSH_TEMP"
    done
    [ -n "$stopped" ] || keep_logs
    leave_node
    [ -n "$stopped" ] || [ "$role" = head ] || head_is_gone "$head_ip" "$port"
    [ -n "$stopped" ] && exit 0
    exit $((status == 0 ? 74 : status))
}

# ------------------------------------------------------------------------------------------------------------ in the batch script

start_step() { # start_step NODE head|worker
    local log=$DSH_JOB_DIR/ray-$SLURM_JOB_ID-$1.log
    srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --nodelist="$1" --export=ALL --kill-on-bad-exit=0 \
        bash "$DSH_LIBRARY" node "$2" "$HEAD_IP" "$HEAD_PORT" "${DSH_LAUNCH[@]+"${DSH_LAUNCH[@]}"}" \
        > "$log" 2>&1 < /dev/null &
    STEPS+=("$!")
    STEP_NODES+=("$1")
}

step_reason() { # why a node's Ray ended: the end of its log
    tail -n 20 "$DSH_JOB_DIR/ray-$SLURM_JOB_ID-$1.log" 2> /dev/null | grep -v -e ' INFO ' -e ' SUCC ' | tail -n 5 | tr '\n' ' ' | cut -c 1-600
}

count_ray() { # count_ray SECONDS &: waits until Ray has every node with its CPUs and GPUs; says what is missing otherwise. Killed, it leaves no child
    exec "${DSH_LAUNCH[@]+"${DSH_LAUNCH[@]}"}" env RAY_ADDRESS="$HEAD_IP:$HEAD_PORT" python -m deepstruc_hpc.runtime.ray_ready \
        --nodes "$NODE_COUNT" --cpus-per-node "${DSH_CPUS:-0}" --gpus-per-node "${DSH_GPUS:-0}" --timeout "$1"
}

ray_up() {
    local node nodes counted up_by=$((SECONDS + DSH_START_SECONDS))
    note "job $SLURM_JOB_ID, start $((DSH_RESTART + 1)), on $SLURM_JOB_NODELIST"
    nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST") || fail "scontrol does not list the nodes of the job"
    NODE_COUNT=$(wc -w <<< "$nodes")
    HEAD_NODE=${SLURMD_NODENAME:-$(head -n 1 <<< "$nodes")}
    HEAD_IP=$(node_address)
    [ -n "$HEAD_IP" ] || fail "no IPv4 address on $HEAD_NODE${DSH_INTERFACE:+ for interface $DSH_INTERFACE}; set network_interface in the profile"
    HEAD_PORT=$(free_port "$HEAD_IP") || fail "no free port in $DSH_PORTS on $HEAD_NODE; set port_range in the profile"

    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$DSH_JOB_DIR/.ray-token-$SLURM_JOB_ID RAY_USAGE_STATS_ENABLED=0
    export DSH_HEAD_NODE=$HEAD_NODE DSH_JOB_DIR DSH_SCRATCH DSH_INTERFACE DSH_MEMORY_MB DSH_OBJECT_STORE_MB DSH_REQUEUE DSH_MAX_REQUEUES
    [ -z "${DSH_CPUS+set}" ] || export DSH_CPUS
    [ -z "${DSH_GPUS+set}" ] || export DSH_GPUS
    (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$RAY_AUTH_TOKEN_PATH") || fail "$DSH_JOB_DIR cannot be written on $HEAD_NODE"

    STEPS=() STEP_NODES=()
    start_step "$HEAD_NODE" head
    until port_is_taken "$HEAD_IP" "$HEAD_PORT"; do
        kill -0 "${STEPS[0]}" 2> /dev/null || fail "the Ray head did not start on $HEAD_NODE: $(step_reason "$HEAD_NODE")"
        [ "$SECONDS" -lt "$up_by" ] || fail "no Ray head on $HEAD_NODE after $DSH_START_SECONDS s: $(step_reason "$HEAD_NODE")"
        [ -z "$WARNED" ] || return 0
        pause 0.5
    done
    for node in $nodes; do
        [ "$node" = "$HEAD_NODE" ] || start_step "$node" worker
    done
    counted=$DSH_JOB_DIR/ray-$SLURM_JOB_ID-count.log
    count_ray "$((up_by - SECONDS))" > "$counted" 2>&1 < /dev/null &
    DRIVER=$!
    while kill -0 "$DRIVER" 2> /dev/null; do
        for node in "${!STEPS[@]}"; do
            kill -0 "${STEPS[node]}" 2> /dev/null || fail "Ray did not start on ${STEP_NODES[node]}: $(step_reason "${STEP_NODES[node]}")"
        done
        [ -z "$WARNED" ] || return 0
        pause 0.5
    done
    wait "$DRIVER" || fail "Ray did not come up whole: $(tail -n 1 "$counted")"
    DRIVER=""
    counted=$(tail -n 1 "$counted")
    note "Ray is up after $SECONDS s: $counted at $HEAD_IP:$HEAD_PORT"
}

ray_down() { # asks the nodes to end Ray and to clean up after themselves; TERM to srun itself would kill them before they could
    local step ticks=0
    [ "${#STEPS[@]}" -eq 0 ] || scancel --signal=TERM "$DSH_JOB" 2> /dev/null
    for step in "${STEPS[@]+"${STEPS[@]}"}"; do
        while kill -0 "$step" 2> /dev/null && [ $((ticks++)) -lt 75 ]; do sleep 0.2; done
        kill -TERM "$step" 2> /dev/null && sleep 1
        kill -KILL "$step" 2> /dev/null
    done
    STEPS=()
    [ -z "${RAY_AUTH_TOKEN_PATH:-}" ] || rm -f "$RAY_AUTH_TOKEN_PATH"
}

on_exit() {
    local code=$?
    trap '' TERM INT USR1
    [ -z "$DRIVER" ] || kill -KILL "$DRIVER" 2> /dev/null
    ray_down
    rm -rf "$DSH_TEMP"
    exit "$code"
}

on_term() { # scancel, preemption, or the limit itself
    trap '' TERM INT USR1
    note "stopped by SLURM (cancelled, preempted or out of time)"
    [ -z "$DRIVER" ] || kill -TERM "$DRIVER" 2> /dev/null
    exit 143
}

on_warning() { # --signal=B:USR1@...: the time limit is near
    [ -z "$WARNED" ] || return 0
    WARNED=$SECONDS
    note "the time limit is near: the command is asked to save and stop"
    [ -z "$DRIVER" ] || kill -USR1 "$DRIVER" 2> /dev/null
}

lost_nodes() { # looks whether a node's Ray has ended; by policy the command goes on without it, or is stopped
    local i
    for i in "${!STEPS[@]}"; do
        kill -0 "${STEPS[i]}" 2> /dev/null && continue
        unset 'STEPS[i]'
        if [ "${STEP_NODES[i]}" != "$HEAD_NODE" ] && [ "$DSH_ON_NODE_FAILURE" = continue ] && [ "${#STEPS[@]}" -gt 0 ]; then
            note "node ${STEP_NODES[i]} was lost; going on with ${#STEPS[@]} of $NODE_COUNT nodes: $(step_reason "${STEP_NODES[i]}")"
            continue
        fi
        LOST=${STEP_NODES[i]}
        note "node $LOST was lost: $(step_reason "$LOST")"
        kill -TERM "$DRIVER" 2> /dev/null
        STOP_BY=$((SECONDS + 30))
        return
    done
}

requeue() { # requeue WHY: the same job id starts again, and the command resumes
    [ "$DSH_REQUEUE" = 1 ] || fail "$1; the profile says not to requeue. Submit again: the work resumes where it stopped"
    [ "$DSH_RESTART" -lt "$DSH_MAX_REQUEUES" ] || fail "$1; already requeued $DSH_RESTART times. Look at the log, then submit again"
    trap 'exit 143' TERM # SLURM ends this start of the job as soon as it has requeued it
    note "requeued: $1"
    scontrol requeue "$DSH_JOB" || fail "$1; SLURM refused to requeue. Submit again: the work resumes where it stopped"
    local until=$((SECONDS + 120))
    while [ "$SECONDS" -lt "$until" ]; do pause 1; done
    exit 75
}

finish() { # finish CODE: what the command's end means for the job
    case "$1" in
        0) note "done after $SECONDS s"; exit 0 ;;
        1) [ "$DSH_ACCEPT_FAILED_ITEMS" != 1 ] || { note "done after $SECONDS s; some items failed"; exit 0; } ;;
        2) note "failed: the command refused its input (exit code 2); see the log"; exit 2 ;;
    esac
    [ -z "$LOST" ] || requeue "node $LOST was lost"
    [ -z "$WARNED" ] || requeue "stopped before the time limit"
    note "failed: the command ended with exit code $1; see the log"
    exit "$1"
}

run_on_ray() { # run_on_ray COMMAND [ARGUMENT...]: the batch script ends with it
    local code
    DRIVER="" WARNED="" LOST="" STOP_BY="" STEPS=() STEP_NODES=()
    trap on_exit EXIT
    trap on_term TERM INT
    trap on_warning USR1
    ray_up
    if [ -n "$WARNED" ]; then
        ray_down
        finish 75
    fi
    note "running: $*"
    "${DSH_LAUNCH[@]+"${DSH_LAUNCH[@]}"}" env RAY_ADDRESS="$HEAD_IP:$HEAD_PORT" "$@" < /dev/null &
    DRIVER=$!
    while kill -0 "$DRIVER" 2> /dev/null; do
        pause 0.5
        [ -n "$LOST" ] || lost_nodes
        [ -z "$WARNED" ] || [ -n "$STOP_BY" ] || STOP_BY=$((WARNED + DSH_STOP_SECONDS))
        [ -z "$STOP_BY" ] || [ "$SECONDS" -lt "$STOP_BY" ] || kill -TERM "$DRIVER" 2> /dev/null
        [ -z "$STOP_BY" ] || [ "$SECONDS" -lt $((STOP_BY + 20)) ] || kill -KILL "$DRIVER" 2> /dev/null
    done
    wait "$DRIVER"
    code=$?
    DRIVER=""
    if [ "$code" -gt 2 ] || [ "$code" = 1 ]; then # did it fail because a node went? SLURM may not know yet
        [ -n "$LOST$WARNED" ] || [ "$NODE_COUNT" = 1 ] || count_ray 20 > /dev/null 2>&1 || LOST=unknown
    fi
    ray_down
    finish "$code"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    [ "${1:-}" = node ] || { echo "usage: source this file and call run_on_ray, see its first lines" >&2; exit 64; }
    shift
    run_node "$@"
fi
