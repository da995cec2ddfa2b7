package host

import (
	"path"
	"runtime"
	"strings"
)

const (
	dirDMI        = "sys/class/dmi/id"
	fileOSRelease = "proc/sys/kernel/osrelease"
	fileArch      = "proc/sys/kernel/arch"
	fileHostname  = "proc/sys/kernel/hostname"
	dirHypervisor = "proc/device-tree/hypervisor"
)

// os reads the operating system and what it runs on.
func (r *reader) os(hostname bool) OS {
	var o OS
	release := r.osRelease()
	switch name := release["NAME"]; {
	case name != "":
		o.Name = &name
	case r.live && runtime.GOOS != "linux":
		o.Name = new(runtime.GOOS)
	default:
		r.miss("os.name", "no os-release file has it")
	}
	if v := release["VERSION_ID"]; v != "" {
		o.Version = &v
	} else {
		// Rolling distributions have none.
		r.miss("os.version", "no os-release file has a VERSION_ID")
	}
	o.Kernel = r.str("os.kernel", fileOSRelease)
	o.Arch = r.arch()
	if hostname {
		o.Hostname = r.str("os.hostname", fileHostname)
	}
	o.Virtualisation = r.virtualisation(&o)
	return o
}

// osRelease reads the distribution's shell-style file; missing keys are empty.
func (r *reader) osRelease() map[string]string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := r.text(name); err == nil {
			return parseOSRelease(text)
		}
	}
	return nil
}

func parseOSRelease(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[key] = clean(value)
	}
	return out
}

// arch reads the kernel's architecture; before Linux 6.1 only the binary knows.
func (r *reader) arch() *string {
	t, err := r.text(fileArch)
	if err == nil {
		if v, ok := token(t); ok {
			return &v
		}
		err = errFormat
	}
	if r.live {
		return new(kernelArch())
	}
	r.missErr("os.arch", fileArch, err)
	return nil
}

// virtualisation decides between hardware, virtual machine and container. On x86, the CPU's hypervisor flag
// decides, and DMI only gives the name: cloud vendors' names are also on their bare-metal machines.
func (r *reader) virtualisation(o *OS) Virtualisation {
	var v Virtualisation
	v.DMIVendor = r.str("os.virtualisation.dmi_vendor", path.Join(dirDMI, "sys_vendor"))
	v.DMIProduct = r.str("os.virtualisation.dmi_product", path.Join(dirDMI, "product_name"))
	v.Container = r.container()

	release := strings.ToLower(deref(o.Kernel))
	if o.Kernel != nil {
		v.WSL = new(strings.Contains(release, "microsoft") || strings.Contains(release, "-wsl"))
	} else {
		r.miss("os.virtualisation.wsl", "the kernel's release is unknown")
	}

	name := r.hypervisorName(v)
	if name == "" && strings.Contains(release, "microsoft") && strings.Contains(release, "wsl2") {
		name = "hyperv"
	}
	vm, known := r.isVM(o, v, name)
	if !known {
		const why = "there is no CPU hypervisor flag, and neither DMI nor the device tree shows it"
		r.miss("os.virtualisation.vm", why)
		r.miss("os.virtualisation.hypervisor", why)
		return v
	}
	v.VM = &vm
	switch {
	case !vm:
		v.Hypervisor = new("none")
	case name != "":
		v.Hypervisor = &name
	default:
		r.miss("os.virtualisation.hypervisor", "the CPU reports one, but its name is not available")
	}
	return v
}

// isVM reports whether there is a hypervisor; name is its name in DMI or the kernel, if any.
func (r *reader) isVM(o *OS, v Virtualisation, name string) (vm, known bool) {
	if r.cpuHypervisor || (x86(o.Arch) && r.cpuFlags != nil) {
		return r.cpuHypervisor, true
	}
	product := deref(v.DMIProduct)
	if strings.HasSuffix(product, ".metal") || strings.Contains(product, ".metal-") {
		return false, true
	}
	return name != "", name != "" || (v.DMIVendor != nil && v.DMIProduct != nil)
}

func x86(arch *string) bool {
	switch deref(arch) {
	case "x86_64", "i386", "i586", "i686":
		return true
	}
	return false
}

// hypervisorName looks for the name of the hypervisor or its cloud; empty if there is none.
func (r *reader) hypervisorName(v Virtualisation) string {
	if t, err := r.text("sys/hypervisor/type"); err == nil {
		if name, ok := token(t); ok {
			return name
		}
	}
	if t, err := r.text(path.Join(dirHypervisor, "compatible")); err == nil {
		switch {
		case strings.Contains(t, "linux,kvm"):
			return "kvm"
		case strings.Contains(t, "xen"):
			return "xen"
		}
	}
	bios, _ := r.text(path.Join(dirDMI, "bios_vendor"))
	return dmiHypervisor(strings.Join([]string{deref(v.DMIVendor), deref(v.DMIProduct), bios}, "|"))
}

// dmiHypervisor finds the name of a hypervisor or cloud in the joined DMI texts.
func dmiHypervisor(dmi string) string {
	dmi = strings.ToLower(dmi)
	for _, known := range [...]struct{ in, name string }{
		{"firecracker", "firecracker"},
		{"amazon ec2", "ec2"},
		{"google compute engine", "gce"},
		{"vmware", "vmware"},
		{"virtualbox", "virtualbox"},
		{"innotek", "virtualbox"},
		{"xen", "xen"},
		{"hvm domu", "xen"},
		{"microsoft corporation|virtual machine", "hyperv"},
		{"parallels", "parallels"},
		{"bhyve", "bhyve"},
		{"cloud hypervisor", "cloud-hypervisor"},
		{"apple virtualization", "apple"},
		{"alibaba cloud", "alibaba"},
		{"openstack", "openstack"},
		{"kvm", "kvm"},
		{"qemu", "qemu"},
		{"bochs", "qemu"},
		{"seabios", "qemu"},
	} {
		if strings.Contains(dmi, known.in) {
			return known.name
		}
	}
	return ""
}

// container returns the name of the container runtime from its marks; "none" if there is none. Only the
// presence of the marks is used, because their contents include container ids and names.
func (r *reader) container() *string {
	if r.env("KUBERNETES_SERVICE_HOST") != "" || r.exists("run/secrets/kubernetes.io") ||
		r.exists("var/run/secrets/kubernetes.io") {
		return new("kubernetes")
	}
	groups, err := r.text("proc/1/cgroup")
	byGroup := containerOf(groups)
	switch {
	case byGroup == "kubernetes":
		return new("kubernetes")
	case r.exists("run/.containerenv"):
		return new("podman")
	case r.exists(".dockerenv"):
		return new("docker")
	case r.exists(".singularity.d"):
		return new("apptainer")
	case byGroup != "":
		return &byGroup
	}
	if t, err := r.text("run/systemd/container"); err == nil {
		if name, ok := token(t); ok {
			return &name
		}
	}
	if mounts, err := r.text(fileMountinfo); err == nil {
		if name := containerOfRoot(mounts); name != "" {
			return &name
		}
	}
	if err != nil {
		r.missErr("os.virtualisation.container", "proc/1/cgroup", err)
		return nil
	}
	return new("none")
}

// containerOf reads the runtime from the group paths of process 1.
func containerOf(groups string) string {
	for _, known := range [...]struct{ in, name string }{
		{"kubepods", "kubernetes"},
		{"libpod", "podman"},
		{"/docker", "docker"},
		{"/lxc", "lxc"},
		{"machine.slice/machine-", "systemd-nspawn"},
		{"containerd", "containerd"},
	} {
		if strings.Contains(groups, known.in) {
			return known.name
		}
	}
	return ""
}

// containerOfRoot recognises the runtime by the folders of an overlay root file system.
func containerOfRoot(mountinfo string) string {
	for line := range strings.SplitSeq(mountinfo, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		left := strings.Fields(before)
		if !ok || len(left) < 5 || left[4] != "/" || !strings.HasPrefix(after, "overlay ") {
			continue
		}
		switch {
		case strings.Contains(after, "/docker/"):
			return "docker"
		case strings.Contains(after, "/containers/storage/"):
			return "podman"
		case strings.Contains(after, "containerd"):
			return "containerd"
		}
	}
	return ""
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
