package host

import (
	"math"
	"strconv"
)

// slurm reads the batch job's size. It does not read user, account, job name, node names and cluster name.
func (r *reader) slurm() *Slurm {
	id, ok := token(r.env("SLURM_JOB_ID"))
	if !ok || !isDigits(id) {
		return nil
	}
	s := &Slurm{JobID: id}
	if task := r.env("SLURM_ARRAY_TASK_ID"); isDigits(task) && len(task) < 20 {
		s.ArrayTaskID = task
	}
	s.Partition, _ = token(r.env("SLURM_JOB_PARTITION"))
	s.Nodes = r.envInt("SLURM_JOB_NUM_NODES")
	s.Tasks = r.envInt("SLURM_NTASKS")
	s.CPUsPerTask = r.envInt("SLURM_CPUS_PER_TASK")
	s.CPUsOnNode = r.envInt("SLURM_CPUS_ON_NODE")
	s.GPUsOnNode = r.envInt("SLURM_GPUS_ON_NODE")
	if mib, err := strconv.ParseInt(r.env("SLURM_MEM_PER_NODE"), 10, 64); err == nil && mib > 0 &&
		mib <= math.MaxInt64>>20 {
		s.MemPerNode = new(mib << 20)
	}
	return s
}

// envInt returns a count from the environment, nil if it is absent or none.
func (r *reader) envInt(name string) *int {
	n, err := strconv.ParseUint(r.env(name), 10, 31)
	if err != nil {
		return nil
	}
	return new(int(n))
}
