package nvml

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// Refusals are the reasons of several GPUs if none of them can be measured.
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

// identify reads the identity of every GPU. A GPU that does not answer is kept with the reason, because its
// position determines the meaning of indices.
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

// unusableCodes are the return codes after which this process cannot use a GPU at all, unlike a call that the
// GPU does not support. If an error has several, the first in this list counts.
var unusableCodes = []int{nvmlLost, nvmlResetRequired, nvmlNoPermission, nvmlBlocked, nvmlGPUNotFound, nvmlNoPower}

// unusable reports whether an error concerns the GPU as a whole.
func unusable(err error) bool { return unusableCode(err) != 0 }

func unusableCode(err error) int {
	for _, code := range unusableCodes {
		if hasCode(err, code) {
			return code
		}
	}
	return 0
}

// hasCode reports whether an error, or one that it wraps, has a return code.
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

// refusal explains why a GPU cannot be used, with the next step.
func refusal(index int, err error) power.Unavailable {
	u := sensor.NoSensor(fmt.Sprintf("nvml gpu%d", index), "", "")
	others := "; until then, list the other GPUs in CUDA_VISIBLE_DEVICES by UUID (nvidia-smi -L)"
	switch unusableCode(err) {
	case nvmlLost:
		u.Message = "the driver has lost this GPU: it no longer answers on its bus"
		u.Next = fmt.Sprintf("look for Xid in the kernel log (sudo dmesg), reset the GPU (sudo nvidia-smi "+
			"--gpu-reset -i %d) or reboot", index) + others
	case nvmlResetRequired:
		u.Message = "this GPU must be reset before it can be used again"
		u.Next = fmt.Sprintf("sudo nvidia-smi --gpu-reset -i %d, or reboot", index) + others
	case nvmlNoPermission, nvmlBlocked:
		u.Message = "this process has no permission to use this GPU"
		u.Next = fmt.Sprintf("request it in the job's allocation (Slurm: --gres or --gpus) or for the container "+
			"(docker run --gpus); otherwise check ls -l /dev/nvidia%d", index)
	case nvmlGPUNotFound:
		u.Message = "the driver lists this GPU but cannot find it"
		u.Next = "look for it with lspci and in the kernel log (sudo dmesg); reboot" + others
	case nvmlNoPower:
		u.Message = "this GPU does not get enough power"
		u.Next = "connect all of its power cables"
	default:
		u.Message = "the driver gives no access to this GPU"
		u.Next = fmt.Sprintf("check nvidia-smi -i %d and the kernel log (sudo dmesg); reset the GPU or "+
			"reboot", index) + others
	}
	u.Message += fmt.Sprintf(" (%s)", strings.ReplaceAll(err.Error(), "\n", "; "))
	return u
}
