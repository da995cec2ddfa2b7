package power

// GPUProcess is a process that holds memory of a GPU.
type GPUProcess struct {
	// PID is the process id; inside a container it may be the host's.
	PID int `json:"pid"`
	// UsedBytes is nil where the driver hides it (containers, some drivers).
	UsedBytes *int64 `json:"used_bytes"`
}
