package sensor

// PowerCap is the bit of the power limit in NVML's mask of clocks event reasons. At full load it is set on a healthy
// GPU.
const PowerCap = int64(0x04)

// Slowdown is a bit of NVML's mask of clocks event reasons that slows a GPU down.
type Slowdown struct {
	Bit int64
	// Name is what the bit is called in messages.
	Name string
}

// Slowdowns returns the bits that slow a GPU down.
func Slowdowns() []Slowdown {
	return []Slowdown{{PowerCap, "power cap"}, {0x08, "hardware slowdown"}, {0x20, "software thermal slowdown"},
		{0x40, "hardware thermal slowdown"}, {0x80, "hardware power brake"}}
}
