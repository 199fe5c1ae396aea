package api

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/lyceum-mcp/lyceum/internal/policy"
)

// document reads openapi.yaml and checks that it is valid.
func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentAndRoutes holds openapi.yaml and the list of routes against each
// other: the same methods, paths and scopes, the same parameters, none missing
// on either side.
func TestDocumentAndRoutes(t *testing.T) {
	doc := document(t)
	type row struct {
		method, path string
		scopes       string
	}
	var inFile, inList []row
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil || len(*op.Security) != 1 || len((*op.Security)[0]) != 1 {
				t.Fatalf("%s %s: want exactly one security requirement of its own", method, path)
			}
			scopes, ok := (*op.Security)[0]["bearer"]
			if !ok {
				t.Fatalf("%s %s: want the security scheme bearer", method, path)
			}
			inFile = append(inFile, row{method, path, strings.Join(scopes, " ")})
		}
	}
	s := newSite(t)
	var parameters []string
	for _, r := range (&server{Deps: s.deps}).operatorRoutes() {
		if !strings.HasPrefix(r.pattern, "/api/v1/") {
			continue
		}
		inList = append(inList, row{r.method, r.pattern, string(r.scope)})
		op := operation(t, doc, r.method, r.pattern)
		for _, p := range slices.Concat(doc.Paths.Find(r.pattern).Parameters, op.Parameters) {
			parameters = append(parameters, p.Value.Name)
			if p.Value.In == "query" && !takes(t, r, p.Value.Name) {
				t.Errorf("%s %s: the parameter %s is in the file but refused", r.method, r.pattern, p.Value.Name)
			}
		}
		if takes(t, r, "nonsense") {
			t.Errorf("%s %s takes a parameter that is not in the file", r.method, r.pattern)
		}
		for name := range want {
			inOp := slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == name })
			if !inOp && takes(t, r, name) {
				t.Errorf("%s %s takes the parameter %s, which is not in the file", r.method, r.pattern, name)
			}
		}
	}
	order := func(a, b row) int { return strings.Compare(a.path+a.method, b.path+b.method) }
	slices.SortFunc(inFile, order)
	slices.SortFunc(inList, order)
	if !slices.Equal(inFile, inList) {
		t.Errorf("openapi.yaml has\n%v\nthe list of routes\n%v", inFile, inList)
	}
	for name := range want {
		if !slices.Contains(parameters, name) {
			t.Errorf("the text of parameter %s is for no operation", name)
		}
	}
	for _, scope := range inFile {
		if !slices.Contains(policy.All(), policy.Scope(scope.scopes)) {
			t.Errorf("%v: no such scope", scope)
		}
	}
}

// takes reports whether the row's handler knows a query parameter.
func takes(t *testing.T, r route, name string) bool {
	t.Helper()
	w := httptest.NewRecorder()
	path := strings.Replace(r.pattern, "{ref}", "0123456789abcdef", 1)
	r.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), r.method, path+"?"+name+"=x&"+name+"=y", nil))
	if w.Code != http.StatusBadRequest {
		t.Fatalf("%s %s with %s twice: %d %s", r.method, path, name, w.Code, w.Body)
	}
	return !strings.Contains(w.Body.String(), "unknown_parameter")
}

func operation(t *testing.T, doc *openapi3.T, method, path string) *openapi3.Operation {
	t.Helper()
	item := doc.Paths.Find(path)
	if item == nil || item.GetOperation(method) == nil {
		t.Fatalf("%s %s is not in openapi.yaml", method, path)
	}
	return item.GetOperation(method)
}

// TestDocumentBounds compares the numbers that the file and the code both state.
func TestDocumentBounds(t *testing.T) {
	doc := document(t)
	schema := func(method, path, name string) *openapi3.Schema {
		for _, p := range operation(t, doc, method, path).Parameters {
			if p.Value.Name == name {
				return p.Value.Schema.Value
			}
		}
		t.Fatalf("%s %s has no parameter %s", method, path, name)
		return nil
	}
	limit := schema("GET", "/api/v1/sessions", "limit")
	if *limit.Min != 1 || *limit.Max != maxLimit || limit.Default != float64(defaultLimit) {
		t.Errorf("limit: %v to %v, default %v; want 1 to %d, default %d", *limit.Min, *limit.Max, limit.Default, maxLimit, defaultLimit)
	}
	for _, tt := range []struct {
		method, path, name string
		want               uint64
	}{
		{"GET", "/api/v1/sessions", "tenant", maxFilter},
		{"GET", "/api/v1/sessions", "subject", maxFilter},
		{"DELETE", "/api/v1/sessions/{ref}", "reason", maxReason},
	} {
		if s := schema(tt.method, tt.path, tt.name); s.MaxLength == nil || *s.MaxLength != tt.want {
			t.Errorf("%s: maxLength %v, want %d", tt.name, s.MaxLength, tt.want)
		}
	}
	if n := doc.Components.Schemas["SessionPage"].Value.Properties["sessions"].Value.MaxItems; n == nil || *n != maxLimit {
		t.Errorf("a page has at most %v sessions, want %d", n, maxLimit)
	}
	ref := "^[0-9a-f]{" + fmt.Sprint(refLen) + "}$"
	if p := doc.Components.Parameters["Ref"].Value.Schema.Value.Pattern; p != ref {
		t.Errorf("ref has the pattern %s, want %s", p, ref)
	}
}

// TestGenerated fails when openapi.yaml, the generator's configuration or its
// version changed and go generate was not run, and when the generated file was
// edited by hand.
func TestGenerated(t *testing.T) {
	code, err := os.ReadFile("rest_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	code, stamp, found := bytes.Cut(code, []byte("\n// Stamp: "))
	if !found {
		t.Fatal("rest_gen.go has no stamp: run go generate ./api")
	}
	h := sha256.New()
	for _, name := range []string{"../openapi.yaml", "oapi-codegen.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	sum := sha256.Sum256(code)
	h.Write(sum[:])
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != strings.TrimSpace(string(stamp)) {
		t.Errorf("rest_gen.go was not made from what is here: run go generate ./api")
	}

	pins, err := os.ReadFile("../internal/lint/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`(?m)^\s*github\.com/oapi-codegen/oapi-codegen/v2 (\S+)`).FindSubmatch(pins)
	used := regexp.MustCompile(`oapi-codegen/v2 version (\S+) DO NOT EDIT`).FindSubmatch(code)
	if pinned == nil || used == nil || !bytes.Equal(pinned[1], used[1]) {
		t.Errorf("made by %s, internal/lint/go.mod pins %s: run go generate ./api", used, pinned)
	}
}

// checkAnswer holds an answer against openapi.yaml.
func checkAnswer(t *testing.T, doc *openapi3.T, r *http.Request, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	op := operation(t, doc, r.Method, path)
	err := openapi3filter.ValidateResponse(t.Context(), (&openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: doc, Path: path, PathItem: doc.Paths.Find(path), Method: r.Method, Operation: op},
		},
		Status: w.Code, Header: w.Header(), Body: http.NoBody,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: w.Code == http.StatusNoContent},
	}).SetBodyBytes(w.Body.Bytes()))
	if err != nil {
		t.Errorf("%s %s: %d is not as in openapi.yaml: %v", r.Method, r.URL, w.Code, err)
	}
	if w.Code == http.StatusNoContent && w.Body.Len() > 0 {
		t.Errorf("%s %s: 204 with a body", r.Method, r.URL)
	}
}
