#!/usr/bin/env bash
# A real Slurm of two nodes on one machine, for the tests: `two_nodes.sh up DIR` and `two_nodes.sh down`, as root.
# The controller and each node are a network and a UTS namespace with an address and a host name of their own on a
# bridge, so that two Ray nodes meet over a network; they share nothing but the file system. What Slurm writes is under
# DIR; its commands (sbatch, scontrol ...) find the cluster by SLURM_CONF=DIR/slurm.conf.
set -euo pipefail

HOSTS=(zcontrol znode1 znode2) BRIDGE=zbridge NET=10.213.7 # addresses .11 .12 .13

up() {
  command -v slurmctld slurmd munged >/dev/null || install
  down
  mkdir -p "$1"/{state,munge,spool/znode1,spool/znode2}
  cd "$1"
  network
  configure
  start zcontrol munge munged --foreground --force --key-file="$PWD/munge/key" --socket="$PWD/munge/socket" \
    --pid-file="$PWD/munge/pid" --log-file="$PWD/munge/log" --seed-file="$PWD/munge/seed"
  export SLURM_CONF=$PWD/slurm.conf
  await test -S munge/socket
  start zcontrol slurmctld slurmctld -c -D
  start znode1 znode1 slurmd -c -D -N znode1
  start znode2 znode2 slurmd -c -D -N znode2
  await both_idle
}

down() {
  for host in "${HOSTS[@]}"; do
    # With the daemons goes whatever a job has left behind.
    ip netns pids "$host" 2>/dev/null | xargs -r kill -9 || true
    ip link del "z-$host" 2>/dev/null || true # with its peer; the kernel takes its time over a namespace
    ip netns del "$host" 2>/dev/null || true
    rm -rf "/etc/netns/$host"
  done
  ip link del $BRIDGE 2>/dev/null || true
}

start() { # HOST NAME COMMAND...: a daemon on the host
  # shellcheck disable=SC2016  # expanded by the inner shell
  setsid ip netns exec "$1" unshare --uts bash -c 'hostname "$0"; exec "$@"' "$1" "${@:3}" >"$2.out" 2>&1 &
}

await() { # CONDITION...: for a minute at most
  local deadline=$((SECONDS + 60))
  until "$@"; do
    if ((SECONDS > deadline)); then
      echo "waited a minute in vain: $*" >&2
      tail -n 20 ./*.out >&2
      return 1
    fi
    sleep 0.2
  done
}

both_idle() {
  [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l)" = 2 ]
}

install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends slurm-wlm munge iproute2
}

network() {
  local names
  ip link add $BRIDGE type bridge
  ip addr add $NET.1/24 dev $BRIDGE
  ip link set $BRIDGE up
  names=$(echo 127.0.0.1 localhost && for i in "${!HOSTS[@]}"; do echo "$NET.$((11 + i)) ${HOSTS[i]}"; done)
  for i in "${!HOSTS[@]}"; do
    local host=${HOSTS[i]}
    mkdir -p "/etc/netns/$host"
    echo "$names" >"/etc/netns/$host/hosts" # `ip netns exec` shows it as /etc/hosts
    ip netns add "$host"
    ip link add "z-$host" type veth peer name eth0 netns "$host"
    ip link set "z-$host" master $BRIDGE up
    ip -n "$host" addr add $NET.$((11 + i))/24 dev eth0
    ip -n "$host" link set eth0 up
    ip -n "$host" link set lo up
  done
}

configure() {
  (umask 077 && head -c 1024 /dev/urandom >munge/key)
  cat >slurm.conf <<END
ClusterName=zfscale
# Ids of their own, also after an earlier cluster: directories and ports are named after them.
FirstJobId=$(($(date +%s) % 10000000 + 1))
SlurmctldHost=zcontrol($NET.11)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
# The second value is also how long a requeued job waits before it starts again.
AuthInfo=socket=$PWD/munge/socket,cred_expire=5
StateSaveLocation=$PWD/state
SlurmdSpoolDir=$PWD/spool/%n
SlurmctldPidFile=$PWD/state/slurmctld.pid
SlurmdPidFile=$PWD/spool/%n.pid
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
NodeName=znode1 NodeHostname=znode1 NodeAddr=$NET.12 Port=17001 CPUs=8 Gres=gpu:2
NodeName=znode2 NodeHostname=znode2 NodeAddr=$NET.13 Port=17002 CPUs=8 Gres=gpu:2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  # GPUs in name only: that they are counted right is what can be tested without one.
  printf 'Name=gpu File=/dev/%s\n' null zero >gres.conf
  # Named, or slurmd would look for what is mounted: an `ip netns exec` shows no cgroups.
  echo CgroupPlugin=cgroup/v1 >cgroup.conf
}

case ${1-}:$# in
up:2) up "$2" ;;
down:1) down ;;
*) echo "usage: two_nodes.sh up DIR | two_nodes.sh down" >&2 && exit 2 ;;
esac
