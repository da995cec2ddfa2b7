package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// cookie carries the token after the first request.
const cookie = "llem-token"

// policy is the content security policy of all pages but the report, which has one of its own.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard refuses what no page of this server asks for.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this server only reads", http.StatusMethodNotAllowed)
		case !s.knownHost(r.Host):
			http.Error(w, "the Host header is not an address of this server", http.StatusMisdirectedRequest)
		case !sameOrigin(r):
			http.Error(w, "requests of other sites are refused", http.StatusForbidden)
		case hasEncodedSlash(r.URL):
			http.Error(w, "the path has an encoded slash", http.StatusBadRequest)
		case s.o.Token != "" && s.admits(r.URL.Query().Get("token")):
			s.welcome(w, r)
		case s.o.Token != "" && !s.authorized(r):
			http.Error(w, "a token is needed: open the address that llem serve printed", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// knownHost reports whether a Host header names this server: a page of another site whose name was changed to
// resolve to this machine (DNS rebinding) sends its own name. The port may differ, as behind a tunnel.
func (s *Server) knownHost(header string) bool {
	host := hostOf(header)
	if Loopback(host) {
		return true
	}
	if s.o.Token == "" || host == "" {
		return false
	}
	if listens := net.ParseIP(s.o.Host); listens == nil || listens.IsUnspecified() {
		// Any address of this machine was asked for; a number cannot be rebound.
		if net.ParseIP(host) != nil {
			return true
		}
	}
	return strings.EqualFold(host, s.o.Host)
}

// hostOf returns the host of a Host header, without its port.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
}

// sameOrigin reports whether a request comes from a page of this server, from a link or the address bar, or from a
// program that is not a browser.
func sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// hasEncodedSlash reports whether a path has a slash or a backslash in escaped form.
func hasEncodedSlash(u *url.URL) bool {
	raw := strings.ToLower(u.RawPath)
	return strings.Contains(raw, "%2f") || strings.Contains(strings.ToLower(u.EscapedPath()), "%5c")
}

// welcome stores the token of the address in a cookie, and removes it from the address.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: s.o.Token, Path: "/", HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
	q := r.URL.Query()
	q.Del("token")
	// Two slashes at the start would name another host.
	to := url.URL{Path: "/" + strings.TrimLeft(r.URL.Path, "/\\"), RawQuery: q.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// authorized reports whether a request has the token as a cookie or, from a program, as a bearer token.
func (s *Server) authorized(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return s.admits(bearer)
	}
	c, err := r.Cookie(cookie)
	return err == nil && s.admits(c.Value)
}

// admits compares a token in constant time.
func (s *Server) admits(token string) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.o.Token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
