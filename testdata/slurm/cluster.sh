# Sourced by check.sh: a Slurm cluster of two nodes on this machine, in a scratch folder, without root services.
# slurm_start FOLDER starts it and sets SLURM_CONF; slurm_stop ends it.

slurm_install() {
  command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munged > /dev/null && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    slurmctld slurmd slurm-client munge > /dev/null
}

slurm_start() {
  slurm_root=$1
  mkdir -p "$slurm_root"/{state,spool,log,dev} /run/munge
  chown munge /run/munge
  [ -s /etc/munge/munge.key ] || { dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key status=none
    chown munge /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
  munge -n > /dev/null 2>&1 || { runuser -u munge -- munged --force; sleep 1; }
  touch "$slurm_root"/dev/nvidia{0,1}
  export SLURM_CONF=$slurm_root/slurm.conf
  local host
  host=$(hostname -s)
  cat > "$SLURM_CONF" << EOF
ClusterName=llem
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$slurm_root/state
SlurmdSpoolDir=$slurm_root/spool/%n
SlurmctldLogFile=$slurm_root/log/ctld
SlurmdLogFile=$slurm_root/log/%n
SlurmctldPidFile=$slurm_root/ctld.pid
SlurmdPidFile=$slurm_root/%n.pid
SlurmctldPort=26817
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=12
KillWait=15
MaxArraySize=11
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26821 CPUs=1 Gres=gpu:h100:1 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=26822 CPUs=1 Gres=gpu:h100:1 State=UNKNOWN
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
EOF
  cat > "$slurm_root/gres.conf" << EOF
NodeName=n1 Name=gpu Type=h100 File=$slurm_root/dev/nvidia0
NodeName=n2 Name=gpu Type=h100 File=$slurm_root/dev/nvidia1
EOF
  slurmctld
  slurmd -N n1
  slurmd -N n2
  local i
  for i in $(seq 60); do
    [ "$(sinfo -h -N -o %t 2> /dev/null | grep -c '^idle$')" = 2 ] && return
    sleep 0.5
  done
  sinfo -N -l || true
  tail -n 20 "$slurm_root"/log/*
  return 1
}

slurm_stop() {
  local f
  scancel --user=root > /dev/null 2>&1 || true
  for f in "$slurm_root"/*.pid; do
    [ -s "$f" ] && kill "$(cat "$f")" 2> /dev/null || true
  done
}
