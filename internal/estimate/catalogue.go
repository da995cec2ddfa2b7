package estimate

import (
	"github.com/llenergymeasure/llem/internal/digits"
)

const (
	tera = 1e12
	giga = 1e9
	mib  = digits.Bytes(1) << 20
)

// hopper are the rates of a full GH100 as in H100 SXM and H200: 132 multiprocessors. The data sheets print the
// rates of matrix units with sparsity; these are half of them.
var hopper = Rates{FP32: 67 * tera, TF32: 494.5 * tera, FP16: 989 * tera, BF16: 989 * tera, FP8: 1979 * tera,
	Int8: 1979 * tera}

// nvl are the rates of the cards with the same chip and a lower power limit.
var nvl = Rates{FP32: 60 * tera, TF32: 417.5 * tera, FP16: 835.5 * tera, BF16: 835.5 * tera, FP8: 1670.5 * tera,
	Int8: 1670.5 * tera}

var ampere = Rates{FP32: 19.5 * tera, TF32: 156 * tera, FP16: 312 * tera, BF16: 312 * tera, Int8: 624 * tera}

const (
	h200Sheet = "https://www.nvidia.com/en-us/data-center/h200/"
	h100Sheet = "https://www.nvidia.com/en-us/data-center/h100/"
	a100Sheet = "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf"
	v100Sheet = "https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf"
	adaPaper  = "https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf"
	ampPaper  = "https://images.nvidia.com/aem-dam/en-zz/Solutions/geforce/ampere/pdf/NVIDIA-ampere-GA102-GPU-Architecture-Whitepaper-V1.pdf"
)

// catalogue of devices, newest first within a family. Idle powers are rough except for the H200, whose 79 W were
// measured (bench/results). Rates of GeForce cards assume 32-bit accumulation, which engines use: half of the rate
// with 16-bit accumulation.
var catalogue = []Device{
	{
		Name: "B200", Source: "https://resources.nvidia.com/en-us-blackwell-architecture/datasheet",
		Capability: "10.0",
		// HGX: 180 GB at 7.7 TB/s
		Aliases: []string{"b200 sxm", "hgx b200"}, Memory: 183359 * mib, Bandwidth: 7700 * giga,
		Rates: Rates{FP32: 75 * tera, TF32: 1100 * tera, FP16: 2250 * tera, BF16: 2250 * tera, FP8: 4500 * tera,
			Int8: 4500 * tera},
		TDP: 1000, Idle: 140,
	},
	{
		Name: "GH200", Source: "https://resources.nvidia.com/en-us-grace-cpu/grace-hopper-superchip",
		Capability: "9.0",
		Aliases:    []string{"gh200 480gb", "grace hopper", "gh200 96gb"}, Memory: 97871 * mib, Bandwidth: 4000 * giga,
		// Upper end of the module's range (450 to 1000 W), including its CPU and memory.
		Rates: hopper, TDP: 1000, Idle: 150,
	},
	{
		Name: "GH200 144GB", Source: "https://resources.nvidia.com/en-us-grace-cpu/grace-hopper-superchip",
		Capability: "9.0",
		Aliases:    []string{"gh200 144gb hbm3e", "gh200 624gb"}, Memory: 146831 * mib, Bandwidth: 4900 * giga,
		Rates: hopper, TDP: 1000, Idle: 150,
	},
	{
		Name: "H200 SXM", Source: h200Sheet, Capability: "9.0",
		Aliases: []string{"h200", "h200 141gb", "h200 sxm5"}, Memory: 143771 * mib, Bandwidth: 4800 * giga,
		Rates: hopper, TDP: 700, Idle: 79,
	},
	{
		Name: "H200 NVL", Source: h200Sheet, Capability: "9.0",
		Memory: 143771 * mib, Bandwidth: 4800 * giga, Rates: nvl, TDP: 600, Idle: 75,
	},
	{
		Name: "H100 SXM", Source: h100Sheet, Capability: "9.0",
		Aliases: []string{"h100", "h100 80gb hbm3", "h100 sxm5",
			"h100 80gb"}, Memory: 81559 * mib, Bandwidth: 3350 * giga,
		Rates: hopper, TDP: 700, Idle: 70,
	},
	{
		Name: "H100 NVL", Source: h100Sheet, Capability: "9.0",
		Memory: 95830 * mib, Bandwidth: 3900 * giga, Rates: nvl, TDP: 400, Idle: 65,
	},
	{
		Name: "H100 PCIe", Source: "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/h100/PB-11133-001_v01.pdf",
		Capability: "9.0",
		Memory:     81559 * mib, Bandwidth: 2000 * giga,
		Rates: Rates{FP32: 51 * tera, TF32: 378 * tera, FP16: 756 * tera, BF16: 756 * tera, FP8: 1513 * tera,
			Int8: 1513 * tera},
		TDP: 350, Idle: 50,
	},
	{
		Name: "A100 SXM 80GB", Source: a100Sheet, Capability: "8.0",
		Aliases: []string{"a100", "a100 80gb", "a100 sxm4 80gb",
			"a100 sxm"}, Memory: 81920 * mib, Bandwidth: 2039 * giga,
		Rates: ampere, TDP: 400, Idle: 55,
	},
	{
		Name: "A100 SXM 40GB", Source: a100Sheet, Capability: "8.0",
		Aliases: []string{"a100 sxm4 40gb"}, Memory: 40960 * mib, Bandwidth: 1555 * giga,
		Rates: ampere, TDP: 400, Idle: 50,
	},
	{
		Name: "A100 PCIe 80GB", Source: a100Sheet, Capability: "8.0",
		Aliases: []string{"a100 80gb pcie"}, Memory: 81920 * mib, Bandwidth: 1935 * giga,
		Rates: ampere, TDP: 300, Idle: 45,
	},
	{
		Name: "A100 PCIe 40GB", Source: a100Sheet, Capability: "8.0",
		Aliases: []string{"a100 40gb", "a100 pcie"}, Memory: 40960 * mib, Bandwidth: 1555 * giga,
		Rates: ampere, TDP: 250, Idle: 35,
	},
	{
		Name: "L40S", Source: "https://resources.nvidia.com/en-us-l40s/l40s-datasheet-28413",
		Capability: "8.9",
		Memory:     46068 * mib, Bandwidth: 864 * giga,
		Rates: Rates{FP32: 91.6 * tera, TF32: 183 * tera, FP16: 362 * tera, BF16: 362 * tera, FP8: 733 * tera,
			Int8: 733 * tera},
		TDP: 350, Idle: 35,
	},
	{
		Name: "L4", Source: "https://www.nvidia.com/en-us/data-center/l4/",
		Capability: "8.9",
		Memory:     23034 * mib, Bandwidth: 300 * giga,
		Rates: Rates{FP32: 30.3 * tera, TF32: 60 * tera, FP16: 121 * tera, BF16: 121 * tera, FP8: 242.5 * tera,
			Int8: 242.5 * tera},
		TDP: 72, Idle: 13,
	},
	{
		Name: "A10", Source: "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a10/pdf/a10-datasheet.pdf",
		Capability: "8.6",
		Memory:     23028 * mib, Bandwidth: 600 * giga,
		Rates: Rates{FP32: 31.2 * tera, TF32: 62.5 * tera, FP16: 125 * tera, BF16: 125 * tera, Int8: 250 * tera},
		TDP:   150, Idle: 20,
	},
	{
		Name: "A10G", Source: "https://d1.awsstatic.com/product-marketing/ec2/NVIDIA_AWS_A10G_DataSheet_FINAL_02_17_2022.pdf",
		Capability: "8.6",
		Memory:     23028 * mib, Bandwidth: 600 * giga,
		Rates: Rates{FP32: 35 * tera, TF32: 35 * tera, FP16: 70 * tera, BF16: 70 * tera, Int8: 140 * tera},
		TDP:   300, Idle: 20,
	},
	{
		Name: "RTX 5090", Aliases: []string{"5090"},
		Source:     "https://images.nvidia.com/aem-dam/Solutions/geforce/blackwell/nvidia-rtx-blackwell-gpu-architecture.pdf",
		Capability: "12.0",
		Memory:     32607 * mib, Bandwidth: 1792 * giga,
		Rates: Rates{FP32: 104.8 * tera, TF32: 104.8 * tera, FP16: 209.5 * tera, BF16: 209.5 * tera, FP8: 419 * tera,
			Int8: 838 * tera},
		TDP: 575, Idle: 25,
	},
	{
		Name: "RTX 4090", Aliases: []string{"4090"}, Source: adaPaper, Capability: "8.9",
		Memory: 24564 * mib, Bandwidth: 1008 * giga,
		Rates: Rates{FP32: 82.6 * tera, TF32: 82.6 * tera, FP16: 165.2 * tera, BF16: 165.2 * tera, FP8: 330.3 * tera,
			Int8: 660.6 * tera},
		TDP: 450, Idle: 20,
	},
	{
		Name: "RTX 6000 Ada", Source: "https://www.nvidia.com/content/dam/en-zz/Solutions/design-visualization/rtx-6000/proviz-print-rtx6000-datasheet-web-2504660.pdf",
		Capability: "8.9", Aliases: []string{"rtx 6000 ada generation"}, Memory: 49140 * mib, Bandwidth: 960 * giga,
		Rates: Rates{FP32: 91.1 * tera, TF32: 182.1 * tera, FP16: 364.2 * tera, BF16: 364.2 * tera, FP8: 728.5 * tera,
			Int8: 728.5 * tera},
		TDP: 300, Idle: 22,
	},
	{
		Name: "RTX A6000", Source: ampPaper, Capability: "8.6",
		Memory: 49140 * mib, Bandwidth: 768 * giga,
		Rates: Rates{FP32: 38.7 * tera, TF32: 77.4 * tera, FP16: 154.8 * tera, BF16: 154.8 * tera, Int8: 309.7 * tera},
		TDP:   300, Idle: 22,
	},
	{
		Name: "RTX 3090", Aliases: []string{"3090"}, Source: ampPaper, Capability: "8.6",
		Memory: 24576 * mib, Bandwidth: 936 * giga,
		Rates: Rates{FP32: 35.6 * tera, TF32: 35.6 * tera, FP16: 71 * tera, BF16: 71 * tera, Int8: 284 * tera},
		TDP:   350, Idle: 25,
	},
	{
		Name: "V100 SXM2 32GB", Source: v100Sheet, Capability: "7.0",
		Aliases: []string{"v100", "v100 32gb", "v100 sxm2", "v100 sxm"}, Memory: 32768 * mib, Bandwidth: 900 * giga,
		Rates: Rates{FP32: 15.7 * tera, FP16: 125 * tera}, TDP: 300, Idle: 40,
	},
	{
		Name: "V100 SXM2 16GB", Source: v100Sheet, Capability: "7.0",
		Memory: 16384 * mib, Bandwidth: 900 * giga,
		Rates: Rates{FP32: 15.7 * tera, FP16: 125 * tera}, TDP: 300, Idle: 40,
	},
	{
		Name: "V100 PCIe 16GB", Source: v100Sheet, Capability: "7.0",
		Aliases: []string{"v100 16gb", "v100 pcie"}, Memory: 16384 * mib, Bandwidth: 900 * giga,
		Rates: Rates{FP32: 14 * tera, FP16: 112 * tera}, TDP: 250, Idle: 30,
	},
	{
		Name: "T4", Source: "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/tesla-t4/t4-tensor-core-datasheet-951643.pdf",
		Capability: "7.5",
		Memory:     15360 * mib, Bandwidth: 300 * giga, // the sheet says "300+"; the memory's own rate is 320
		Rates: Rates{FP32: 8.1 * tera, FP16: 65 * tera, Int8: 130 * tera}, TDP: 70, Idle: 10,
	},
	{
		Name: "MI300X", Source: "https://www.amd.com/content/dam/amd/en/documents/instinct-tech-docs/data-sheets/amd-instinct-mi300x-data-sheet.pdf",
		Capability: "gfx942", Aliases: []string{"mi300x oam"}, Memory: 196592 * mib, Bandwidth: 5300 * giga,
		Rates: Rates{FP32: 163.4 * tera, TF32: 653.7 * tera, FP16: 1307.4 * tera, BF16: 1307.4 * tera,
			FP8: 2614.9 * tera, Int8: 2614.9 * tera},
		TDP: 750, Idle: 140,
	},
}
