package middleware

import (
	"errors"
	"io"
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Admit lets a request through when the gate has room for it and for its body,
// before a byte of that is read, and holds the place until the handler returns.
// It stands after authentication so that the gate can see the tenant, and inside
// Body, which bounds what is let through. class tells requests apart by their
// headers.
func Admit(gate *Gate, class func(*http.Request) Class) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := Visit{Class: class(r), Body: r.ContentLength}
			if p := identity.FromContext(r.Context()); p != nil {
				v.Tenant = p.Tenant
			}
			if r.Body == nil || r.Body == http.NoBody {
				v.Body = 0
			}
			in := &admittedBody{ReadCloser: r.Body}
			if err := gate.enter(&in.place, v); err != nil {
				fail(w, r, err)
				return
			}
			defer in.place.Leave()
			if v.Body != 0 {
				r.Body = in
			}
			next.ServeHTTP(w, r)
		})
	}
}

// admittedBody counts what a body really has, and gives the rest of what it
// holds of the gate back at its end. The request's goroutine owns it.
type admittedBody struct {
	io.ReadCloser
	place Place
	read  int64
}

func (b *admittedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if errors.Is(err, io.EOF) {
		b.place.shrink(b.read)
	}
	return n, err
}

func (b *admittedBody) Close() error {
	b.place.shrink(b.read)
	return b.ReadCloser.Close()
}
