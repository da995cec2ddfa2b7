package nvml

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/llenergymeasure/llem/internal/sensor"
	"github.com/llenergymeasure/llem/power"
)

// nvmlLibrary has the functions of NVIDIA's management library that the meter needs. The real one is loaded
// in nvml_cgo.go; tests provide fakes. Open is called first; Close is called last and once.
type nvmlLibrary interface {
	Open() error
	// Devices lists every GPU in NVML's order (the order of PCI buses), including GPUs to which the driver
	// gives no access. The error concerns the list as a whole.
	Devices() ([]nvmlListed, error)
	Close() error
}

// nvmlListed is one GPU of the driver's list.
type nvmlListed struct {
	// dev is nil if the driver gives no access to the GPU, for the reason in err.
	dev nvmlDevice
	err error
}

// nvmlDevice is one GPU. Different devices may be used concurrently.
type nvmlDevice interface {
	nvmlSensors
	// Scoped returns the sensors of a scope: fields 191, 185 and 186, and the ring of that scope. The plain
	// energy counter ignores scopes, or covers the whole module (GH200).
	Scoped(scope nvmlScope) nvmlSensors
	// Identity returns what could be read, even with an error.
	Identity() (nvmlIdentity, error)
	// Telemetry leaves the stamp and the device name to the caller.
	Telemetry() power.Telemetry
	// Facts leaves the index to the caller.
	Facts() sensor.GPUFacts
	MemoryUsed() (int64, error)
	Processes() ([]power.GPUProcess, error)
	// Busy returns, per process, the largest percentage of time during which its kernels ran, over the
	// driver's samples since a stamp (µs of the wall clock). A process that did not work is missing.
	Busy(after uint64) (map[int]float64, error)
}

// nvmlSensors are the calls that return power or energy.
type nvmlSensors interface {
	// Energy is the counter since the driver was loaded, in millijoules.
	Energy() (uint64, error)
	// Samples returns the entries of the driver's ring of power samples with a later stamp (µs of the wall
	// clock), in any order.
	Samples(after uint64) ([]nvmlSample, error)
	// Instant is field 186, POWER_INSTANT.
	Instant() (nvmlSample, error)
	// Average is nvmlDeviceGetPowerUsage, in milliwatts.
	Average() (uint32, error)
}

// nvmlSample is one power value of the driver.
type nvmlSample struct {
	// StampUS is the driver's stamp in µs of the wall clock; zero if there is none.
	StampUS    uint64
	Milliwatts float64
}

// nvmlIdentity identifies a GPU.
type nvmlIdentity struct {
	UUID string
	Name string
	// Architecture is NVML's number: 7 is Ampere, 8 Ada, 9 Hopper; 0 means unknown.
	Architecture uint32
	// Major and Minor are the compute capability.
	Major, Minor int
	MIG          bool
	// refused is why the GPU cannot be used: the driver has lost it or gives no access. UUID and Name may be
	// empty then.
	refused error
}

// NVML's architecture number of Ampere; larger numbers are newer.
const nvmlAmpere = 7

// averagesPower reports whether nvmlDeviceGetPowerUsage averages over one second, as on Ampere and newer,
// except GA100 (compute capability 8.0), which like older parts reads instantaneous power (NVML header).
func (id nvmlIdentity) averagesPower() bool {
	if id.Architecture < nvmlAmpere || id.Architecture == math.MaxUint32 {
		return false
	}
	return id.Major != 8 || id.Minor != 0
}

// nvmlError is a return code of NVML with the name of the call.
type nvmlError struct {
	call string
	code int
	text string
}

func (e nvmlError) Error() string {
	return fmt.Sprintf("%s: %s (nvml code %d)", e.call, e.text, e.code)
}

// Return codes that the meter handles (nvml.h, enum nvmlReturn_t).
const (
	nvmlNotSupported    = 3
	nvmlNoPermission    = 4
	nvmlNotFound        = 6
	nvmlNoPower         = 8
	nvmlDriverNotLoaded = 9
	nvmlLibraryNotFound = 12
	nvmlFuncNotFound    = 13
	nvmlLost            = 15
	nvmlResetRequired   = 16
	nvmlBlocked         = 17 // by the operating system: NVML_ERROR_OPERATING_SYSTEM
	nvmlVersionMismatch = 18
	nvmlNoData          = 21
	nvmlGPUNotFound     = 28
)

// nvmlCode returns the return code inside err, or 0.
func nvmlCode(err error) int {
	if e, ok := errors.AsType[nvmlError](err); ok {
		return e.code
	}
	return 0
}

// nvmlUnavailable explains why the library could not be opened.
func nvmlUnavailable(err error) error {
	if _, ok := errors.AsType[power.Unavailable](err); ok {
		return err
	}
	u := sensor.NoSensor("nvml", "", "")
	switch nvmlCode(err) {
	case nvmlLibraryNotFound, nvmlFuncNotFound:
		u.Message = "libnvidia-ml.so.1 was not found: no NVIDIA driver is installed"
		u.Next = "install the NVIDIA driver; in a container, pass the GPUs to it (docker run --gpus all)"
	case nvmlDriverNotLoaded:
		u.Message = "the NVIDIA kernel driver is not loaded"
		u.Next = "sudo modprobe nvidia"
	case nvmlNoPermission:
		u.Message = "no permission to use the NVIDIA driver"
		u.Next = "make /dev/nvidiactl and /dev/nvidia* readable and writable for this user (ls -l /dev/nvidia*)"
	case nvmlVersionMismatch:
		u.Message = "the NVIDIA kernel driver and its library have different versions, as after an upgrade " +
			"without a restart"
		u.Next = "reboot, or unload and reload the nvidia modules"
	default:
		u.Message = err.Error()
		u.Next = "run nvidia-smi and fix what it reports"
	}
	return u
}

// Types of a value in NVML (nvml.h, enum nvmlValueType_t). An unsigned long has
// eight bytes on the 64-bit Linux targets of this package.
const (
	nvmlDouble = iota
	nvmlUint
	nvmlUlong
	nvmlUlongLong
	nvmlLongLong
	nvmlInt
	nvmlUshort
)

// decodeNVMLValue reads the union nvmlValue_t by its type. The type of a field differs between drivers, so it
// is never assumed.
func decodeNVMLValue(kind uint32, raw [8]byte) (float64, error) {
	word := binary.NativeEndian.Uint64(raw[:])
	half := binary.NativeEndian.Uint32(raw[:4])
	switch kind {
	case nvmlDouble:
		return math.Float64frombits(word), nil
	case nvmlUint:
		return float64(half), nil
	case nvmlUlong, nvmlUlongLong:
		return float64(word), nil
	case nvmlLongLong:
		return float64(int64(word)), nil
	case nvmlInt:
		return float64(int32(half)), nil
	case nvmlUshort:
		return float64(binary.NativeEndian.Uint16(raw[:2])), nil
	}
	return 0, fmt.Errorf("nvml value of unknown type %d", kind)
}
