package estimate

import (
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"h200": "H200 SXM", "NVIDIA H200": "H200 SXM", "H200 NVL": "H200 NVL",
		"NVIDIA H100 80GB HBM3": "H100 SXM", "NVIDIA H100 PCIe": "H100 PCIe", "NVIDIA H100 NVL": "H100 NVL",
		"h100-sxm5-80gb": "H100 SXM", "NVIDIA A100-SXM4-80GB": "A100 SXM 80GB",
		"NVIDIA A100-SXM4-40GB": "A100 SXM 40GB",
		"NVIDIA A100-PCIE-40GB": "A100 PCIe 40GB", "NVIDIA A100 80GB PCIe": "A100 PCIe 80GB", "a100": "A100 SXM 80GB",
		"NVIDIA L40S": "L40S", "NVIDIA L4": "L4", "NVIDIA A10G": "A10G", "NVIDIA A10": "A10",
		"NVIDIA GeForce RTX 4090": "RTX 4090", "rtx4090": "RTX 4090", "4090": "RTX 4090",
		"NVIDIA GeForce RTX 3090":        "RTX 3090",
		"NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada", "NVIDIA RTX A6000": "RTX A6000",
		"Tesla V100-SXM2-32GB": "V100 SXM2 32GB", "Tesla V100-PCIE-16GB": "V100 PCIe 16GB", "Tesla T4": "T4",
		"t4":          "T4",
		"NVIDIA B200": "B200", "NVIDIA GH200 480GB": "GH200", "NVIDIA GH200 144G HBM3e": "",
		"AMD Instinct MI300X": "MI300X", "NVIDIA H100 80GB HBM2e": "H100 SXM", "NVIDIA H200 141GB HBM3e": "H200 SXM",
		"Tesla V100-SXM2-16GB": "V100 SXM2 16GB", "NVIDIA L40S 48GB": "L40S", "NVIDIA L4 24GB": "L4",
		// The capacity in the name takes precedence.
		"NVIDIA A100-SXM-64GB": "A100 SXM with 64 GB as named", "NVIDIA H100-SXM5-64GB": "H100 SXM with 64 GB as named",
		"NVIDIA GeForce RTX 4090 48GB": "RTX 4090 with 48 GB as named",
	} {
		got, err := Lookup(name)
		if want == "" {
			continue
		}
		if err != nil || got.Name != want {
			t.Errorf("Lookup(%q) = %q, %v, want %q", name, got.Name, err, want)
		}
	}
}

// TestNamedCapacity: memory follows the name, everything else the catalogue.
func TestNamedCapacity(t *testing.T) {
	for name, gib := range map[string]float64{"A100-SXM-64GB": 64, "RTX 4090 48GB": 48, "H100-SXM5-64GB": 64,
		"A100-SXM4-40GB": 40, "V100-SXM2-16GB": 16} {
		d, err := Lookup(name)
		if got := float64(d.Memory) / (1 << 30); err != nil || got < 0.92*gib || got > gib {
			t.Errorf("Lookup(%q) has %.1f GiB, %v, want about %g", name, got, err, gib)
		}
	}
}

func TestLookupSuggests(t *testing.T) {
	for name, want := range map[string]string{
		"h20": "H200 SXM", "NVIDIA H800": "H100", "rtx 4080": "RTX 4090", "a100x": "A100", "l40": "L40S",
		"": "no device given",
		// No word of a name is ignored.
		"NVIDIA GeForce RTX 4090 Laptop GPU": `it has RTX 4090, but not its variant "laptop"; use RTX 4090`,
		"NVIDIA RTX 4090 D":                  `variant "d"`,
		"NVIDIA GeForce RTX 3090 Ti":         `variant "ti"`,
		"RTX 4090 Laptop 16GB":               `variant "laptop"`,
		"NVIDIA H100 80GB HBM3 MIG 1g.10gb":  "slice",
	} {
		d, err := Lookup(name)
		if err == nil {
			t.Errorf("Lookup(%q) = %s, want an error", name, d.Name)
			continue
		}
		head, _, _ := strings.Cut(err.Error(), "? All")
		if !strings.Contains(head, want) {
			t.Errorf("Lookup(%q): %v, want a hint at %q", name, err, want)
		}
	}
}

// TestCatalogue compares with dense rates that were looked up by hand, and checks what holds for all devices.
func TestCatalogue(t *testing.T) {
	type sheet struct{ bf16, fp8, int8, bandwidth, tdp float64 }
	for name, want := range map[string]sheet{
		"H100 SXM":      {989, 1979, 1979, 3350, 700},
		"H200 SXM":      {989, 1979, 1979, 4800, 700},
		"A100 SXM 80GB": {312, 0, 624, 2039, 400},
		"L40S":          {362, 733, 733, 864, 350},
		"RTX 4090":      {165.2, 330.3, 660.6, 1008, 450},
		"V100 SXM2 32GB": {
			0, 0, 0, 900, 300,
		},
		"MI300X": {1307.4, 2614.9, 2614.9, 5300, 750},
		"B200":   {2250, 4500, 4500, 7700, 1000},
	} {
		d, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		got := sheet{d.Rates.BF16 / tera, d.Rates.FP8 / tera, d.Rates.Int8 / tera, d.Bandwidth / giga, float64(d.TDP)}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if len(catalogue) < 12 {
		t.Errorf("%d devices", len(catalogue))
	}
	seen := map[string]string{}
	for _, d := range catalogue {
		r := d.Rates
		switch {
		case !strings.HasPrefix(d.Source, "https://"), d.Capability == "", d.Host:
			t.Errorf("%s: no source or capability", d.Name)
		case d.Memory < 8<<30 || d.Memory > 300<<30 || d.Bandwidth < 200*giga || d.Bandwidth > 10*tera:
			t.Errorf("%s: memory %v, %g bytes/s", d.Name, d.Memory, d.Bandwidth)
		case d.TDP < 50 || d.TDP > 1200 || d.Idle < 5 || float64(d.Idle) > 0.25*float64(d.TDP):
			t.Errorf("%s: %v of %v idle", d.Name, d.Idle, d.TDP)
		case r.FP32 <= 0 || r.FP16 <= 0 || r.FP16 < r.FP32:
			t.Errorf("%s: rates %+v", d.Name, r)
		case r.BF16 != 0 && r.BF16 != r.FP16:
			t.Errorf("%s: bf16 and fp16 differ", d.Name)
		// A rate for sparse matrices would show as a ratio of four.
		case r.FP8 != 0 && (r.FP8 < 1.9*r.FP16 || r.FP8 > 2.1*r.FP16):
			t.Errorf("%s: fp8 is %g times fp16", d.Name, r.FP8/r.FP16)
		case r.TF32 != 0 && r.FP16 > 2.1*r.TF32:
			t.Errorf("%s: fp16 is %g times tf32", d.Name, r.FP16/r.TF32)
		}
		if d.Supports(FP8) != (r.FP8 > 0) || !d.Supports(FP16) || len(d.Formats()) < 2 {
			t.Errorf("%s supports %v", d.Name, d.Formats())
		}
		for _, n := range d.names() {
			key := strings.Join(words(n), "")
			if other, ok := seen[key]; ok && other != d.Name {
				t.Errorf("%q names %s and %s", n, other, d.Name)
			}
			seen[key] = d.Name
			if found, err := Lookup(n); err != nil || found.Name != d.Name {
				t.Errorf("Lookup(%q) = %s, %v, want %s", n, found.Name, err, d.Name)
			}
		}
	}
}

func TestWith(t *testing.T) {
	d, _ := Lookup("h200")
	if got := d.With(100, 300); got.Memory != 100 || got.TDP != 300 || got.Idle != d.Idle {
		t.Errorf("%+v", got)
	}
	if got := d.With(0, 0); got.Memory != d.Memory || got.TDP != d.TDP {
		t.Errorf("%+v", got)
	}
}

func TestParseFormat(t *testing.T) {
	for name, want := range map[string]Format{"bf16": BF16, "auto": "", "fp8": FP8, "AWQ": Int4, "q4_0": Q4_0,
		"half": FP16, "int8": Int8} {
		if got, err := ParseFormat(name); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseFormat(%q) = %q, %v", name, got, err)
		}
	}
}
