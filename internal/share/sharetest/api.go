package sharetest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer writes a JSON document.
func answer(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

// fail answers as the hub does for a mistake.
func fail(w http.ResponseWriter, status int, code, text string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", text)
	answer(w, status, map[string]string{"error": text})
}

// user returns whose token a request has, and whether it may write.
func user(r *http.Request) (name string, writes bool) {
	switch strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") {
	case Token:
		return Owner, true
	case ReadToken:
		return Owner, false
	case OtherToken:
		return "bob", true
	}
	return "", false
}

func (h *Hub) serveAPI(w http.ResponseWriter, r *http.Request) {
	h.locked(func() { h.requests = append(h.requests, r.Method+" "+r.URL.Path) })
	if h.Broken != nil && h.Broken(w, r) {
		return
	}
	who, writes := user(r)
	if who == "" && r.Header.Get("Authorization") != "" {
		fail(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	}
	switch r.URL.Path {
	case "/api/repos/create":
		h.create(w, r, who, writes)
		return
	case "/api/whoami-v2":
		answer(w, http.StatusOK, map[string]any{"type": "user", "name": who,
			"auth": map[string]any{"accessToken": map[string]string{"role": map[bool]string{true: "write",
				false: "read"}[writes]}}})
		return
	case "/api/validate-yaml":
		h.validate(w, r)
		return
	}
	rest, api := strings.CutPrefix(r.URL.Path, "/api/datasets/")
	if !api {
		rest, _ = strings.CutPrefix(r.URL.Path, "/datasets/")
	}
	parts := strings.SplitN(rest, "/", 4)
	if len(parts) < 2 {
		fail(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
		return
	}
	name, lfs := parts[0]+"/"+parts[1], false
	if name, lfs = strings.CutSuffix(name, ".git"); lfs && !strings.HasSuffix(r.URL.Path, "/info/lfs/objects/batch") {
		fail(w, http.StatusNotFound, "", "Not found")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	repo := h.repos[name]
	switch {
	case repo == nil && who == "":
		fail(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
	case repo == nil, repo.private && who != "" && who != parts[0]:
		fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
	case repo.private && who == "":
		fail(w, http.StatusUnauthorized, "RepoNotFound", "Invalid username or password.")
	default:
		rest := slices.Concat(parts[2:], []string{"", ""})
		h.about(w, r, request{repo, name, rest[0], rest[1], api, who == parts[0] && writes})
	}
}

// request is a request about a repository that the user can see.
type request struct {
	repo *repo
	name string
	// what is asked, and the rest of the path.
	what, rest string
	// api reports whether it is for the interface of programs.
	api bool
	// writes reports whether the user may write to it.
	writes bool
}

// about answers a request about a repository.
func (h *Hub) about(w http.ResponseWriter, r *http.Request, q request) {
	changes := slices.Contains([]string{"preupload", "commit", "settings", "info"}, q.what) && q.api ||
		strings.HasSuffix(r.URL.Path, "/objects/batch") || q.what == "verify"
	if changes && !q.writes {
		fail(w, http.StatusForbidden, "", "You don't have the required permissions to write to this repository.")
		return
	}
	if strings.HasSuffix(r.URL.Path, "/objects/batch") {
		h.batch(w, r, q)
		return
	}
	rev, rest, _ := strings.Cut(q.rest, "/")
	if escaped, err := url.PathUnescape(rev); err == nil {
		rev = escaped
	}
	state := q.repo.at(cmpOr(rev, "main"))
	if state == nil && q.what != "verify" {
		fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+rev)
		return
	}
	switch {
	case q.api && (q.what == "" || q.what == "revision"):
		answer(w, http.StatusOK, describe(q, state))
	case q.api && q.what == "tree":
		h.tree(w, r, state, rest)
	case q.api && q.what == "paths-info":
		paths(w, r, state)
	case q.api && q.what == "preupload":
		preupload(w, r, state)
	case q.api && q.what == "commit":
		h.commit(w, r, q)
	case q.api && q.what == "settings":
		settings(w, r, q.repo)
	case q.what == "verify":
		h.verify(w, r)
	case !q.api && q.what == "resolve":
		h.resolve(w, r, state, rest)
	default:
		fail(w, http.StatusNotFound, "", "Not found")
	}
}

func cmpOr(text, or string) string {
	if text == "" {
		return or
	}
	return text
}

// document reads the body of a request.
func document(r *http.Request, into any) bool { return json.NewDecoder(r.Body).Decode(into) == nil }

func (h *Hub) create(w http.ResponseWriter, r *http.Request, who string, writes bool) {
	var in struct{ Name, Organization, Type, Visibility string }
	if !document(r, &in) || in.Type != "dataset" {
		fail(w, http.StatusBadRequest, "", "✖ Invalid input → at type")
		return
	}
	owner := cmpOr(in.Organization, who)
	name := owner + "/" + in.Name
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case who == "":
		fail(w, http.StatusUnauthorized, "", "Invalid username or password.")
	case !writes || owner != who:
		fail(w, http.StatusForbidden, "",
			"You don't have the rights to create a dataset under the namespace \""+owner+"\".")
	case h.repos[name] != nil:
		answer(w, http.StatusConflict, map[string]string{"error": "You already created this dataset repo",
			"url": h.URL + "/datasets/" + name})
	default:
		h.repos[name] = newRepo(in.Visibility == "private")
		answer(w, http.StatusOK, map[string]string{"url": h.URL + "/datasets/" + name, "name": name, "id": name})
	}
}

// validate checks the head of a card as far as a license goes.
func (h *Hub) validate(w http.ResponseWriter, r *http.Request) {
	var in struct{ Content, RepoType string }
	if !document(r, &in) {
		fail(w, http.StatusBadRequest, "", "invalid body")
		return
	}
	wrong := []map[string]string{}
	for line := range strings.Lines(in.Content) {
		if strings.TrimSpace(line) == "license: no-such-license" {
			wrong = append(wrong,
				map[string]string{"message": "\"license\" must be one of [apache-2.0, mit, cc-by-4.0, …]"})
		}
	}
	status := http.StatusOK
	if len(wrong) > 0 {
		status = http.StatusBadRequest
	}
	answer(w, status, map[string]any{"errors": wrong, "warnings": []string{}})
}

func settings(w http.ResponseWriter, r *http.Request, of *repo) {
	var in struct{ Visibility string }
	if !document(r, &in) {
		fail(w, http.StatusBadRequest, "", "invalid body")
		return
	}
	of.private = in.Visibility == "private"
	answer(w, http.StatusOK, map[string]any{"private": of.private})
}

// describe describes a repository.
func describe(q request, state *commit) map[string]any {
	siblings := []map[string]any{}
	for _, p := range slices.Sorted(maps.Keys(state.files)) {
		siblings = append(siblings, map[string]any{"rfilename": p})
	}
	return map[string]any{"_id": "0123456789abcdef01234567", "id": q.name, "author": strings.Split(q.name, "/")[0],
		"sha": state.id, "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
		"private": q.repo.private, "gated": false, "disabled": false, "downloads": 0, "likes": 0, "tags": []string{},
		"siblings": siblings}
}

// entry describes a file, as lists do.
func entry(p string, f file) map[string]any {
	e := map[string]any{"type": "file", "oid": f.blob(), "size": len(f.text), "path": p}
	if f.large {
		e["lfs"] = map[string]any{"oid": f.sha256(), "size": len(f.text), "pointerSize": 130}
	}
	return e
}

// tree lists the files of a state, in pages.
func (h *Hub) tree(w http.ResponseWriter, r *http.Request, state *commit, under string) {
	all, folders := []map[string]any{}, map[string]bool{}
	deep := r.URL.Query().Get("recursive") == "true" || r.URL.Query().Get("recursive") == "True"
	for _, p := range slices.Sorted(maps.Keys(state.files)) {
		inside := p
		if under != "" {
			var ok bool
			if inside, ok = strings.CutPrefix(p, under+"/"); !ok {
				continue
			}
		}
		for dir := path.Dir(inside); dir != "."; dir = path.Dir(dir) {
			if full := path.Join(under, dir); !folders[full] && (deep || !strings.Contains(dir, "/")) {
				folders[full] = true
				all = append(all,
					map[string]any{"type": "directory", "oid": sumOf([]byte(full))[:40], "size": 0, "path": full})
			}
		}
		if deep || !strings.Contains(inside, "/") {
			all = append(all, entry(p, state.files[p]))
		}
	}
	if under != "" && len(all) == 0 {
		fail(w, http.StatusNotFound, "EntryNotFound", under+" does not exist on this revision")
		return
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	to := min(from+h.Page, len(all))
	if to < len(all) {
		query := r.URL.Query()
		query.Set("cursor", strconv.Itoa(to))
		w.Header().Set("Link", fmt.Sprintf("<%s%s?%s>; rel=\"next\"", h.URL, r.URL.EscapedPath(), query.Encode()))
	}
	answer(w, http.StatusOK, all[from:to])
}

// paths describes the files and folders that are asked for.
func paths(w http.ResponseWriter, r *http.Request, state *commit) {
	var in struct{ Paths []string }
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		_ = document(r, &in)
	} else if r.ParseForm() == nil {
		in.Paths = r.Form["paths"]
	}
	out := []map[string]any{}
	for _, p := range in.Paths {
		if f, ok := state.files[p]; ok {
			out = append(out, entry(p, f))
			continue
		}
		for other := range state.files {
			if strings.HasPrefix(other, strings.TrimSuffix(p, "/")+"/") {
				out = append(out,
					map[string]any{"type": "directory", "oid": sumOf([]byte(p))[:40], "size": 0, "path": p})
				break
			}
		}
	}
	answer(w, http.StatusOK, out)
}

// isLarge reports whether the storage of large files gets a file.
func isLarge(name string, size int64) bool {
	return strings.HasSuffix(name, ".parquet") || strings.HasSuffix(name, ".zip") || size > 10<<20
}

func preupload(w http.ResponseWriter, r *http.Request, state *commit) {
	var in struct {
		Files []struct {
			Path, Sample string
			Size         int64
		}
	}
	if !document(r, &in) || len(in.Files) > 256 {
		fail(w, http.StatusBadRequest, "", "invalid body")
		return
	}
	out := []map[string]any{}
	for _, f := range in.Files {
		mode := "regular"
		if isLarge(f.Path, f.Size) {
			mode = "lfs"
		}
		e := map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": false}
		if old, ok := state.files[f.Path]; ok {
			e["oid"] = old.blob()
		}
		out = append(out, e)
	}
	answer(w, http.StatusOK, map[string]any{"files": out})
}

// batch answers where large files go; files in the storage need no upload.
func (h *Hub) batch(w http.ResponseWriter, r *http.Request, q request) {
	var in struct {
		Operation string
		Transfers []string
		Objects   []struct {
			OID  string
			Size int64
		}
	}
	if r.Header.Get("Content-Type") != "application/vnd.git-lfs+json" || !document(r, &in) || len(in.Objects) > 100 ||
		!slices.Contains(in.Transfers, "basic") {
		fail(w, http.StatusBadRequest, "", "invalid body")
		return
	}
	out := []map[string]any{}
	for _, o := range in.Objects {
		e := map[string]any{"oid": o.OID, "size": o.Size}
		if _, there := h.objects[o.OID]; !there {
			e["actions"] = map[string]any{
				"upload": map[string]any{"href": h.storage.URL + "/put/" + o.OID + "?X-Amz-Signature=0123456789"},
				"verify": map[string]any{"href": h.URL + "/api/datasets/" + q.name + "/verify"},
			}
		}
		out = append(out, e)
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": out})
}

func (h *Hub) verify(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OID  string
		Size int64
	}
	if !document(r, &in) || int64(len(h.objects[in.OID])) != in.Size || h.objects[in.OID] == nil {
		fail(w, http.StatusNotFound, "", "the object is not in the storage")
		return
	}
	answer(w, http.StatusOK, map[string]bool{"success": true})
}

// line is a line of a commit.
type line struct {
	Key   string
	Value struct {
		Summary, Path, Content, Encoding, Algo, OID, ParentCommit string
	}
}

// commit applies a commit as a whole, or refuses it.
func (h *Hub) commit(w http.ResponseWriter, r *http.Request, q request) {
	if r.Header.Get("Content-Type") != "application/x-ndjson" {
		fail(w, http.StatusBadRequest, "", "the commit is not ndjson")
		return
	}
	next, summary := maps.Clone(q.repo.last().files), ""
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<30)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			fail(w, http.StatusBadRequest, "", "a line of the commit is not JSON")
			return
		}
		v := l.Value
		switch l.Key {
		case "header":
			if summary = v.Summary; v.ParentCommit != "" && v.ParentCommit != q.repo.last().id {
				fail(w, http.StatusPreconditionFailed, "", "A commit has happened since. Please refresh and try again.")
				return
			}
		case "file":
			text, err := base64.StdEncoding.DecodeString(v.Content)
			if err != nil || v.Encoding != "base64" {
				fail(w, http.StatusBadRequest, "", "a file is not base64")
				return
			}
			next[v.Path] = file{text, false}
		case "lfsFile":
			text, there := h.objects[v.OID]
			if !there || v.Algo != "sha256" {
				fail(w, http.StatusBadRequest, "",
					"Your push was rejected because an LFS pointer pointed to a file that "+
						"does not exist: "+v.Path)
				return
			}
			next[v.Path] = file{text, true}
		case "deletedFile":
			if _, there := next[v.Path]; !there {
				fail(w, http.StatusBadRequest, "", "A file with the name "+v.Path+" does not exist")
				return
			}
			delete(next, v.Path)
		}
	}
	if lines.Err() != nil || summary == "" {
		fail(w, http.StatusBadRequest, "", "the commit is incomplete")
		return
	}
	q.repo.add(next, summary)
	id := q.repo.last().id
	answer(w, http.StatusOK, map[string]any{"success": true, "commitOid": id,
		"commitUrl": h.URL + "/datasets/" + q.name + "/commit/" + id, "hookOutput": ""})
}

// resolve answers with a file, or with the address of a large one.
func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, state *commit, name string) {
	w.Header().Set("X-Repo-Commit", state.id)
	f, ok := state.files[name]
	if !ok {
		fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	if f.large {
		w.Header().Set("X-Linked-Etag", `"`+f.sha256()+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(f.text)))
		w.Header().Set("ETag", `"`+f.sha256()+`"`)
		http.Redirect(w, r, h.storage.URL+"/get/"+f.sha256()+"?X-Amz-Signature=0123456789", http.StatusFound)
		return
	}
	w.Header().Set("ETag", `"`+f.blob()+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
}

// serveStorage keeps large files. It is another host, which must not see a token.
func (h *Hub) serveStorage(w http.ResponseWriter, r *http.Request) {
	cut := false
	h.locked(func() {
		h.requests = append(h.requests, r.Method+" "+r.URL.Path)
		if r.Header.Get("Authorization") != "" {
			h.faults = append(h.faults, "the storage got a token: "+r.Method+" "+r.URL.Path)
		}
		switch {
		case r.Method == http.MethodPut && h.cutPuts > 0:
			h.cutPuts--
			cut = true
		case r.Method == http.MethodGet && h.cutGets > 0:
			h.cutGets--
			cut = true
		}
	})
	if h.Broken != nil && h.Broken(w, r) {
		return
	}
	oid := path.Base(r.URL.Path)
	if r.Method == http.MethodPut {
		h.put(w, r, oid, cut)
		return
	}
	var text []byte
	h.locked(func() { text = h.objects[oid] })
	if text == nil {
		http.NotFound(w, r)
		return
	}
	if cut {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// put keeps a large file, if it is what its name says.
func (h *Hub) put(w http.ResponseWriter, r *http.Request, oid string, cut bool) {
	if cut {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || sumOf(text) != oid {
		http.Error(w, "the content has another hash", http.StatusBadRequest)
		return
	}
	h.locked(func() { h.objects[oid] = text })
	w.Header().Set("ETag", `"`+oid[:32]+`"`)
}
