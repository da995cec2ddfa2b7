package host

import (
	"path"
	"slices"
	"strings"
)

const (
	fileCgroup    = "proc/self/cgroup"
	fileMountinfo = "proc/self/mountinfo"
	dirCgroup     = "/sys/fs/cgroup"
)

// A cgroupEntry is one line of /proc/self/cgroup: the position of the process in one hierarchy. Version 2
// lists no controllers.
type cgroupEntry struct {
	controllers []string
	path        string
}

// parseCgroup reads "4:cpu,cpuacct:/path" and "0::/path" lines.
func parseCgroup(text string) []cgroupEntry {
	var entries []cgroupEntry
	for line := range strings.SplitSeq(text, "\n") {
		id, rest, ok := strings.Cut(strings.TrimRight(line, "\r"), ":")
		if !ok || !isDigits(id) {
			continue
		}
		controllers, p, ok := strings.Cut(rest, ":")
		if !ok || !strings.HasPrefix(p, "/") {
			continue
		}
		e := cgroupEntry{path: p}
		if controllers != "" {
			e.controllers = strings.Split(controllers, ",")
		}
		entries = append(entries, e)
	}
	return entries
}

// A cgroupMount is a mounted hierarchy.
type cgroupMount struct {
	v2          bool
	root        string // the group that is shown at point
	point       string
	controllers []string // version 1, among other mount options
}

// parseCgroupMounts picks the cgroup mounts from /proc/self/mountinfo, whose
// lines are "id parent major:minor root point options [tags] - type source
// superoptions".
func parseCgroupMounts(text string) []cgroupMount {
	var mounts []cgroupMount
	for line := range strings.SplitSeq(text, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 1 {
			continue
		}
		m := cgroupMount{root: unescape(left[3]), point: unescape(left[4])}
		switch {
		case right[0] == "cgroup2":
			m.v2 = true
		case right[0] == "cgroup" && len(right) >= 3:
			m.controllers = strings.Split(right[2], ",")
		default:
			continue
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// unescape undoes the octal escapes of blanks in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// A group is the process's position in the hierarchy of one controller.
type group struct {
	v2 bool
	// dirs lists the folders from the process's own group up to the highest visible one, relative to the
	// tree's root.
	dirs []string
}

// groupOf finds the group that governs controller: in a version 1 hierarchy with the controller, otherwise in
// the version 2 hierarchy. On machines with both, each controller is in one of them.
func groupOf(controller string, entries []cgroupEntry, mounts []cgroupMount) (group, bool) {
	for _, v2 := range []bool{false, true} {
		e := slices.IndexFunc(entries, func(e cgroupEntry) bool {
			if v2 {
				return len(e.controllers) == 0
			}
			return slices.Contains(e.controllers, controller)
		})
		if e < 0 {
			continue
		}
		m := slices.IndexFunc(mounts, func(m cgroupMount) bool {
			return m.v2 == v2 && (v2 || slices.Contains(m.controllers, controller))
		})
		var mount cgroupMount
		switch {
		case m >= 0:
			mount = mounts[m]
		case len(mounts) > 0:
			continue // the mount table is known, and this hierarchy is not in it
		case v2:
			mount = cgroupMount{v2: true, root: "/", point: dirCgroup}
		default:
			mount = cgroupMount{root: "/", point: path.Join(dirCgroup, controller)}
		}
		return group{v2: v2, dirs: groupDirs(entries[e].path, mount)}, true
	}
	return group{}, false
}

// groupDirs lists the folders to read. Without a cgroup namespace, the process's path starts with the mount's
// root, which the mount point represents; a path outside of it is treated as the mount point itself.
func groupDirs(own string, m cgroupMount) []string {
	rel := path.Clean(own)
	if root := path.Clean("/" + m.root); root != "/" {
		below, ok := strings.CutPrefix(rel, root)
		if !ok || (below != "" && below[0] != '/') {
			below = ""
		}
		rel = below
	}
	rel = path.Clean("/" + rel)
	point := strings.TrimPrefix(path.Clean("/"+m.point), "/")
	var dirs []string
	for {
		dirs = append(dirs, path.Join(".", point, rel[1:]))
		if rel == "/" || len(dirs) > 64 {
			return dirs
		}
		rel = path.Dir(rel)
	}
}
