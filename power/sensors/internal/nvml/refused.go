package nvml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// Refusals are the reasons of several GPUs of which none can be measured.
type Refusals []power.Unavailable

func (r Refusals) Error() string {
	texts := make([]string, len(r))
	for i, u := range r {
		texts[i] = u.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns each of them.
func (r Refusals) Unwrap() []error {
	errs := make([]error, len(r))
	for i, u := range r {
		errs[i] = u
	}
	return errs
}

// identify asks every GPU who it is. One that does not answer is kept with the reason:
// its place in the list decides what indices mean.
func identify(devices []nvmlListed) []nvmlIdentity {
	ids := make([]nvmlIdentity, len(devices))
	for i, d := range devices {
		err := d.err
		if d.dev != nil {
			ids[i], err = d.dev.Identity()
		}
		ids[i].refused = err
	}
	return ids
}

// unusableCodes are the return codes after which a GPU is of no use to anybody in this
// process, as opposed to a call that it does not support. In an error that has several,
// the first of this list counts.
var unusableCodes = []int{nvmlLost, nvmlResetRequired, nvmlNoPermission, nvmlBlocked, nvmlGPUNotFound, nvmlNoPower}

// unusable reports whether an error is about the GPU and not about one of its sensors.
func unusable(err error) bool { return unusableCode(err) != 0 }

func unusableCode(err error) int {
	for _, code := range unusableCodes {
		if hasCode(err, code) {
			return code
		}
	}
	return 0
}

// hasCode looks for a return code in an error and in what it joins.
func hasCode(err error, code int) bool {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself
	case nil:
		return false
	case nvmlError:
		return e.code == code
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if hasCode(inner, code) {
				return true
			}
		}
		return false
	}
	return hasCode(errors.Unwrap(err), code)
}

// refusal explains why a GPU of the driver's list cannot be used, and what would help.
func refusal(index int, err error) power.Unavailable {
	u := sensor.NoSensor(fmt.Sprintf("nvml gpu%d", index), "", "")
	others := "; until then, name the other GPUs in CUDA_VISIBLE_DEVICES by their UUIDs (nvidia-smi -L)"
	switch unusableCode(err) {
	case nvmlLost:
		u.Message = "the driver has lost this GPU: it does not answer on its bus any more"
		u.Next = fmt.Sprintf("look for Xid in the kernel's log (sudo dmesg), reset the GPU (sudo nvidia-smi "+
			"--gpu-reset -i %d) or reboot", index) + others
	case nvmlResetRequired:
		u.Message = "this GPU has to be reset before it can be used again"
		u.Next = fmt.Sprintf("sudo nvidia-smi --gpu-reset -i %d, or reboot", index) + others
	case nvmlNoPermission, nvmlBlocked:
		u.Message = "this process may not use this GPU"
		u.Next = fmt.Sprintf("ask for it in the job's allocation (Slurm: --gres or --gpus) or in the container's "+
			"(docker run --gpus), which give a cgroup its devices; elsewhere see ls -l /dev/nvidia%d", index)
	case nvmlGPUNotFound:
		u.Message = "the driver lists this GPU and does not find it"
		u.Next = "look for it with lspci and in the kernel's log (sudo dmesg); reboot" + others
	case nvmlNoPower:
		u.Message = "this GPU is short of power"
		u.Next = "connect all of its power cables"
	default:
		u.Message = "the driver does not hand this GPU out"
		u.Next = fmt.Sprintf("see what nvidia-smi -i %d and the kernel's log (sudo dmesg) report; reset the GPU or "+
			"reboot", index) + others
	}
	u.Message += fmt.Sprintf(" (%s)", strings.ReplaceAll(err.Error(), "\n", "; "))
	return u
}
