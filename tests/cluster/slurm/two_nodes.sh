#!/usr/bin/env bash
# A real Slurm of two nodes on one machine, for the tests: `two_nodes.sh up DIR` and `two_nodes.sh down DIR`, as root.
# Each node is a network and a UTS namespace with an address and a host name of its own on a bridge, so that two Ray
# nodes meet over a network and nothing but the file system is shared. Everything it writes is under DIR; the commands
# (sbatch, scontrol ...) find the cluster by SLURM_CONF=DIR/slurm.conf.
set -euo pipefail

NODES=(znode1 znode2) BRIDGE=zbridge NET=10.213.7 CPUS=8

up() {
  command -v slurmctld slurmd munged >/dev/null || install
  down
  mkdir -p "$dir"/{state,munge,spool/znode1,spool/znode2}
  network
  munge
  configure
  export SLURM_CONF=$dir/slurm.conf
  (cd "$dir" && setsid slurmctld -c -D >"$dir/slurmctld.out" 2>&1 & echo $! >"$dir/slurmctld.pid")
  for node in "${NODES[@]}"; do
    # shellcheck disable=SC2016  # expanded by the inner shell
    (cd "$dir" && setsid ip netns exec "$node" unshare --uts bash -c 'hostname "$0"; exec slurmd -c -D -N "$0"' "$node" \
      >"$dir/$node.out" 2>&1 & echo $! >"$dir/$node.pid")
  done
  for _ in {1..60}; do
    [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l)" = ${#NODES[@]} ] && return
    sleep 0.5
  done
  echo "the nodes did not come up:" >&2
  tail -n 20 "$dir"/*.log "$dir"/*.out >&2
  return 1
}

down() {
  for pid in "$dir"/*.pid; do
    [ -e "$pid" ] && stop "$(<"$pid")"
    rm -f "$pid"
  done
  for node in "${NODES[@]}"; do
    # Whatever a job left behind in the node goes with it.
    ip netns pids "$node" 2>/dev/null | xargs -r kill -9 || true
    ip netns del "$node" 2>/dev/null || true
    rm -rf "/etc/netns/$node"
  done
  ip link del $BRIDGE 2>/dev/null || true
}

stop() {
  kill "$1" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null || true
}

install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurm-wlm munge iproute2
}

network() {
  ip link add $BRIDGE type bridge
  ip addr add $NET.1/24 dev $BRIDGE
  ip link set $BRIDGE up
  for i in "${!NODES[@]}"; do
    local node=${NODES[i]}
    ip netns add "$node"
    # `ip netns exec` shows this as /etc/hosts there.
    mkdir -p "/etc/netns/$node"
    echo "127.0.0.1 localhost" >"/etc/netns/$node/hosts"
    for j in "${!NODES[@]}"; do
      echo "$NET.$((11 + j)) ${NODES[j]}" >>"/etc/netns/$node/hosts"
    done
    ip link add "z-$node" type veth peer name eth0 netns "$node"
    ip link set "z-$node" master $BRIDGE up
    ip -n "$node" addr add $NET.$((11 + i))/24 dev eth0
    ip -n "$node" link set eth0 up
    ip -n "$node" link set lo up
  done
}

munge() {
  head -c 1024 /dev/urandom >"$dir/munge/key"
  chown -R munge: "$dir/munge"
  chmod 700 "$dir/munge"
  chmod 400 "$dir/munge/key"
  chmod 755 "$dir"
  runuser -u munge -- munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
    --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
  cp "$dir/munge/pid" "$dir/munged.pid"
}

configure() {
  cat >"$dir/slurm.conf" <<END
ClusterName=zfscale
SlurmctldHost=$(hostname -s)($NET.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
# How long a requeued job waits before it starts again is the credential's life.
AuthInfo=socket=$dir/munge/socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/state/slurmctld.pid
SlurmdPidFile=$dir/spool/%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/%n.log
# No cgroups, no systemd; more CPUs than the machine has.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=10
GresTypes=gpu
$(for i in "${!NODES[@]}"; do
    echo "NodeName=${NODES[i]} NodeHostname=${NODES[i]} NodeAddr=$NET.$((11 + i)) Port=$((17001 + i)) CPUs=$CPUS Gres=gpu:2"
  done)
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  # GPUs in name only: counts are what can be tested without one.
  printf "Name=gpu File=/dev/%s\n" null zero >"$dir/gres.conf"
  # Not found out: a namespace may have no cgroups, and nothing here uses them.
  echo "CgroupPlugin=cgroup/v1" >"$dir/cgroup.conf"
}

dir=$(realpath -m "${2:?usage: two_nodes.sh up|down DIR}")
case $1 in
up | down) "$1" ;;
*) echo "usage: two_nodes.sh up|down DIR" >&2 && exit 2 ;;
esac
