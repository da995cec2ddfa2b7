package model

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// IsHub says that a name is neither a shape nor a file or folder of this machine, but a
// repository of the hub.
func IsHub(name string) bool {
	at, err := locate(name)
	return err == nil && at.kind == KindHub
}

// Reach sees whether a model of the hub can be had, and reads its architecture: from the
// cache where it is complete, else with one request. Bound its time with ctx. It fetches
// no weights and writes nothing. The error says whether the model is restricted
// (ClassGated), does not exist (ClassNotFound) or the hub could not be asked
// (ClassOffline, ClassDownloadFailed). A config without a known architecture is no error:
// then known is false.
func Reach(ctx context.Context, r Request) (config Config, known bool, err error) {
	at, err := locate(r.Model)
	if err != nil || at.kind != KindHub {
		return Config{}, false, err
	}
	h := newHub(r)
	if dir, _, ok := h.cache.complete(at.id); ok {
		config, err := FromHFFolder(dir)
		return config, err == nil, nil
	}
	if h.offline {
		return Config{}, false, fail(ClassOffline, nil, "unset HF_HUB_OFFLINE, or download it once with a network",
			"%s at %q is not in %s and HF_HUB_OFFLINE is set", at.id.name, at.id.rev, h.cache.root)
	}
	data, err := h.config(ctx, at.id)
	if err != nil {
		return Config{}, false, err
	}
	config, err = FromHFConfig(data)
	return config, err == nil, nil
}

// OfflineSet says that the user wants nothing from the hub.
func OfflineSet() bool { return envTrue("HF_HUB_OFFLINE") }

// mostConfig is the most that is read of a config.json.
const mostConfig = 4 << 20

// config reads the config.json of a repository, or the head of the one file that is
// named. It is empty where the repository has none.
func (h *hub) config(ctx context.Context, id repoID) ([]byte, error) {
	method, file := http.MethodGet, "config.json"
	if id.file != "" {
		method, file = http.MethodHead, id.file
	}
	u := h.endpoint + "/" + id.name + "/resolve/" + url.PathEscape(id.rev) + "/" + file
	resp, err := h.do(ctx, h.client, method, u, 0)
	if err != nil {
		if ctx.Err() != nil { // it is asked once, and not for long
			err = fail(ClassOffline, context.Cause(ctx), "check the network, HF_ENDPOINT and HTTPS_PROXY",
				"%s does not answer", h.endpoint)
		}
		if t, ok := errors.AsType[*transient](err); ok {
			err = t.err
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.Header.Get("X-Error-Code") == "EntryNotFound" && id.file == "" {
		return nil, nil // such as one that holds GGUF files only
	}
	if err := h.status(resp, id, ""); err != nil {
		if t, ok := errors.AsType[*transient](err); ok {
			err = t.err
		}
		return nil, err
	}
	if method == http.MethodHead {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, mostConfig))
	if err != nil {
		return nil, fail(ClassOffline, err, "try again", "reading config.json of %s", id.name)
	}
	return data, nil
}

// described is the architecture of a model of the hub as far as this machine knows it:
// from what was fetched, or from the list of shapes, which names where they come from.
func described(id repoID) (Config, bool) {
	cache := hubCache{hubCacheDir()}
	if commit := cache.commit(id); commit != "" {
		dir := cache.snapshot(id, commit)
		if id.file != "" {
			m := Resolved{}
			if err := m.describeGGUF(filepath.Join(dir, filepath.FromSlash(id.file))); err == nil &&
				m.ConfigErr == nil {
				return m.Config, true
			}
		} else if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			if c, err := FromHFFolder(dir); err == nil {
				return c, true
			}
		}
	}
	for _, s := range catalogue {
		if s.Source != "" && strings.EqualFold(s.Source, id.name) {
			return s.Config, true
		}
	}
	return Config{}, false
}
