package redact_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"evertoken/internal/config"
	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/hosts"
	"evertoken/internal/issue"
	"evertoken/internal/keys"
	"evertoken/internal/oauth"
	"evertoken/internal/operator"
	"evertoken/internal/operator/serviceaccount"
	"evertoken/internal/presets"
	"evertoken/internal/providers"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/rotate"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
	"evertoken/internal/strictjson"
	"evertoken/internal/telemetry"
	"evertoken/internal/wiring"
)

// of is a type's entry in the list below.
func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// exported are all exported types of all packages that are deployed.
// TestTheListOfTypesIsComplete compares the list with the source.
var exported = []reflect.Type{
	of[config.Config](),
	of[connection.Connection](), of[connection.Declared](), of[connection.Error](), of[connection.Parameter](),
	of[connection.Probe](), of[connection.RenewedBy](), of[connection.Rules](),
	of[credential.Credential](), of[credential.Error](), of[credential.Session](), of[credential.Token](),
	of[exchange.Class](), of[exchange.Error](), of[exchange.Finisher](), of[exchange.Grant](), of[exchange.Issued](),
	of[exchange.Provider](), of[exchange.Prober](), of[exchange.Prover](), of[exchange.Request](), of[exchange.SessionUse](), of[exchange.Traits](),
	of[hosts.Entry](), of[hosts.EntryError](), of[hosts.List](), of[hosts.Policy](), of[hosts.Refused](),
	of[issue.Entry](), of[issue.Event](), of[issue.InvalidEvent](), of[issue.Parameters](), of[issue.Reader](),
	of[issue.Report](), of[issue.RunFailed](), of[issue.Runner](),
	of[keys.Key](), of[keys.Member](),
	of[oauth.Answer](), of[oauth.AnswerNames](), of[oauth.Auth](), of[oauth.Client](), of[oauth.Kind](),
	of[oauth.Refusal](), of[oauth.Request](),
	of[operator.Process](), of[serviceaccount.Options](), of[serviceaccount.Stopped](), of[serviceaccount.World](),
	of[providers.Client](), of[providers.ClientManager](), of[providers.Fixed](),
	of[providers.FixedCredential](), of[providers.FlexeraOrganization](), of[providers.Options](),
	of[providers.ServiceAccount](),
	of[presets.Fact](), of[presets.Grant](), of[presets.Need](), of[presets.Preset](), of[presets.Refusal](), of[presets.Variable](),
	of[redact.Box[http.Header]](), of[redact.Secret](), of[redact.Values](),
	of[renew.Decision](), of[renew.Engine](), of[renew.Facts](), of[renew.Gate](), of[renew.Job](),
	of[renew.Outcome](), of[renew.Parameters](), of[renew.Reads](), of[renew.Result](),
	of[renew.Stopped](), of[renew.Store](), of[renew.TokenTimes](),
	of[rotate.CredentialDead](), of[rotate.Failure](), of[rotate.InternalFault](), of[rotate.InvalidEvent](), of[rotate.Misconfigured](),
	of[rotate.Parameters](), of[rotate.Refused](), of[rotate.RotationStuck](), of[rotate.Rotator](), of[rotate.Store](),
	of[rotate.Superseded](), of[rotate.Throttled](), of[rotate.Transient](),
	of[secrets.API](), of[secrets.Description](), of[secrets.Error](), of[secrets.Kind](), of[secrets.Pace](), of[secrets.Paces](),
	of[secrets.Listed](), of[secrets.ParameterAPI](), of[secrets.Parameters](), of[secrets.Read](), of[secrets.Store](), of[secrets.Version](), of[secrets.VersionInfo](), of[secrets.Wait](),
	of[session.Doubt](), of[session.Keeper](), of[session.NotSent](), of[session.Parameters](), of[session.Replay](), of[session.Run](),
	of[session.Stage](), of[session.Step](), of[session.Store](), of[session.Terms](), of[session.Unreadable](), of[session.Waiting](),
	of[strictjson.Duration](),
	of[telemetry.Calls](), of[telemetry.Dimension](), of[telemetry.Doer](), of[telemetry.Line](), of[telemetry.Metric](), of[telemetry.Metrics](),
	of[wiring.Parts](),
}

// plain are the fields that hold text or bytes which are no secret, though their
// type or name could hold one, each with the reason.
var plain = map[string]string{
	"connection.Connection.Settings":          "stands in a String parameter, which is no place for a secret",
	"connection.Connection.TokenParameter":    "the name of a parameter",
	"connection.Connection.Token":             "the name of a secret",
	"connection.Connection.Credential":        "the name of a secret",
	"connection.Connection.PlainCopy":         "the name of a secret",
	"connection.Parameter.Value":              "a String parameter, which is no place for a secret",
	"connection.Connection.TokenParameterKey": "the name of a KMS key",
	"credential.Token.TokenType":              "the word Bearer",
	"credential.Token.Publish":                "what readers asked for; settings.publish refuses members that hold a secret",
	"credential.Token.CredentialVersion":      "the id of a version of the credential, which says nothing of its value",
	"exchange.Issued.Publish":                 "what readers asked for; settings.publish refuses members that hold a secret",
	"exchange.Issued.TokenType":               "the word Bearer",
	"hosts.Policy.Secret":                     "the name of a secret",
	"renew.Engine.RescueKey":                  "the name of a KMS key",
	"session.Keeper.RescueKey":                "the name of a KMS key",
	"providers.flexera.tokenURL":              "settings refuse secrets in a URL",
	"providers.flexera.refreshTokenID":        "the id of a refresh token, which is not the token",
	"rotate.Failure.Secret":                   "the name of a secret",
	"secrets.Description.Replicas":            "Regions and their states",
	"secrets.Description.Tags":                "tags, which AWS says are no place for a secret",
	"secrets.Listed.Value":                    "a declaration, which holds no secret",
	"telemetry.Dimension.Value":               "the name of a function or connection",
	"telemetry.Line.Properties":               "outcomes and times",
	"config.Config.RescueKey":                 "the name of a KMS key",
	"oauth.Request.TokenTypes":                "words such as Bearer",
	"oauth.Request.TokenURL":                  "settings refuse secrets in a URL",
	"oauth.AnswerNames.AccessToken":           "a path in a document",
	"oauth.AnswerNames.RefreshToken":          "a path in a document",
	"presets.Preset.Settings":                 "part of the program",
	"presets.Preset.RefreshTokens":            "single_use or reusable",
	"presets.Grant.Settings":                  "part of the program",
	"presets.Grant.Credential":                "names of members",
	"presets.Variable.Values":                 "part of the program",
}

// TestTheListOfTypesIsComplete compares the list of types with the source.
func TestTheListOfTypesIsComplete(t *testing.T) {
	t.Parallel()
	var have []string
	for _, e := range exported {
		name, _, _ := strings.Cut(e.String(), "[") // a generic type by one of its instances
		have = append(have, name)
	}
	var want []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "fake" || d.Name() == "simulate" || d.Name() == "testdata"): // never deployed
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if g, ok := declaration.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
						want = append(want, file.Name.Name+"."+s.Name.Name)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			t.Errorf("%s is not in the list of this test: add it, so that its output is checked", name)
		}
	}
	for _, name := range have {
		if !slices.Contains(want, name) {
			t.Errorf("%s is in the list and not in the source", name)
		}
	}
}

// suspicious matches the name of a field that may hold a secret.
var suspicious = regexp.MustCompile(`(?i)secret|token|password|assertion|private|key$|credential|value$|copy$|authorization|body$`)

// carriers are types that can hold and print any value.
var carriers = []reflect.Type{
	of[[]byte](), of[json.RawMessage](), of[url.Values](), of[http.Header](), of[http.Request](), of[http.Response](),
	of[tls.Certificate](), of[crypto.PrivateKey](), of[crypto.Signer](), of[map[string]string](), of[map[string]any](), of[url.Userinfo](),
}

// No field of an exported type holds a secret as plain text or bytes.
func TestNoFieldIsPlain(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	seen := map[reflect.Type]bool{}
	for _, e := range exported {
		audit(t, e, "", seen, used)
	}
	for name := range plain {
		if !used[name] {
			t.Errorf("%s is listed as plain, and no type has it", name)
		}
	}
}

// audit walks a type; at is the field that it was reached by.
func audit(t *testing.T, typ reflect.Type, at string, seen map[reflect.Type]bool, used map[string]bool) {
	t.Helper()
	suspect := slices.Contains(carriers, typ) ||
		typ.Kind() == reflect.String && typ.PkgPath() == "" &&
			suspicious.MatchString(at[strings.LastIndexByte(at, '.')+1:])
	if suspect {
		if used[at] = true; plain[at] == "" {
			t.Errorf("%s is a plain %s: carry it as one of package redact's types, or say here why it is no secret", at, typ)
		}
		return
	}
	if strings.HasPrefix(typ.PkgPath(), "evertoken/internal/redact") {
		return
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		audit(t, typ.Elem(), at, seen, used)
	case reflect.Map:
		audit(t, typ.Elem(), at, seen, used)
	case reflect.Struct:
		if seen[typ] || !strings.HasPrefix(typ.PkgPath(), "evertoken/") {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			audit(t, f.Type, typ.String()+"."+f.Name, seen, used)
		}
	}
}

// No exported type, filled with secrets wherever it can hold one, shows any of them in
// any way of printing.
func TestEveryTypeIsRedacted(t *testing.T) {
	t.Parallel()
	carrying := 0
	for _, e := range exported {
		v := reflect.New(e).Elem()
		n := fill(v, 0)
		if carrying += n; n == 0 {
			continue
		}
		for way, shown := range printed(v) {
			for _, form := range forms() {
				if strings.Contains(shown, form) {
					t.Errorf("%s shows a secret by %s: %.200s", e, way, shown)
				}
			}
		}
	}
	if carrying < 30 {
		t.Errorf("only %d places for a secret were found", carrying)
	}
}

// forms are the canary as the verbs for text and for bytes print it.
func forms() []string {
	var decimal, hex []string
	for _, b := range []byte(canary) {
		decimal, hex = append(decimal, fmt.Sprint(b)), append(hex, fmt.Sprintf("%#x", b))
	}
	return []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary),
		strings.Join(decimal, " "), strings.Join(hex, ", ")}
}

// fill puts a canary into every value of package redact in v, exported or not, and
// returns their number.
func fill(v reflect.Value, depth int) int {
	if depth > 8 {
		return 0
	}
	if !v.CanSet() && v.CanAddr() { // an unexported field
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	}
	typ := v.Type()
	switch {
	case typ == of[redact.Secret]():
		v.Set(reflect.ValueOf(redact.New(canary)))
		return 1
	case strings.HasPrefix(typ.String(), "redact.Box["):
		inner := reflect.New(typ.Field(0).Type.Elem())
		value := reflect.New(typ.Field(0).Type.Elem().Elem())
		plainly(value.Elem(), 0)
		inner.Elem().Set(value)
		reflect.NewAt(typ.Field(0).Type, unsafe.Pointer(v.Field(0).UnsafeAddr())).Elem().Set(inner)
		return 1
	}
	n := 0
	switch typ.Kind() {
	case reflect.Struct:
		if !strings.HasPrefix(typ.PkgPath(), "evertoken/") && typ.PkgPath() != "" {
			return 0
		}
		for i := range v.NumField() {
			n += fill(v.Field(i), depth+1)
		}
	case reflect.Pointer:
		inner := reflect.New(typ.Elem())
		if n = fill(inner.Elem(), depth+1); n > 0 {
			v.Set(inner)
		}
	case reflect.Slice:
		inner := reflect.New(typ.Elem()).Elem()
		if n = fill(inner, depth+1); n > 0 {
			v.Set(reflect.Append(reflect.MakeSlice(typ, 0, 1), inner))
		}
	case reflect.Map:
		inner := reflect.New(typ.Elem()).Elem()
		if n = fill(inner, depth+1); n > 0 && typ.Key().Kind() == reflect.String {
			m := reflect.MakeMap(typ)
			m.SetMapIndex(reflect.ValueOf("name").Convert(typ.Key()), inner)
			v.Set(m)
		}
	}
	return n
}

// plainly puts a canary into every text and every byte slice in a Box.
func plainly(v reflect.Value, depth int) {
	if depth > 4 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(canary)
	case reflect.Struct:
		for i := range v.NumField() {
			plainly(v.Field(i), depth+1)
		}
	case reflect.Slice:
		inner := reflect.New(v.Type().Elem()).Elem()
		if v.Type() == of[[]byte]() {
			v.SetBytes([]byte(canary))
			return
		}
		plainly(inner, depth+1)
		v.Set(reflect.Append(reflect.MakeSlice(v.Type(), 0, 1), inner))
	case reflect.Map:
		inner := reflect.New(v.Type().Elem()).Elem()
		plainly(inner, depth+1)
		m := reflect.MakeMap(v.Type())
		if v.Type().Key().Kind() == reflect.String {
			m.SetMapIndex(reflect.ValueOf(canary).Convert(v.Type().Key()), inner)
		}
		v.Set(m)
	}
}

// nested holds a value where its own methods are not called.
type nested struct{ hidden any }

// printed is a value in every way in which something may come into a log, an
// error, a panic or an answer.
func printed(v reflect.Value) map[string]string {
	out := map[string]string{}
	for kind, x := range map[string]any{"value": v.Interface(), "pointer": v.Addr().Interface(), "list": []any{v.Interface()}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			out[kind+" "+verb] = fmt.Sprintf(verb, x)
			out[kind+" nested "+verb] = fmt.Sprintf(verb, nested{x})
		}
		out[kind+" error"] = fmt.Errorf("doing it: %v: %w", x, fmt.Errorf("%+v", x)).Error()
		if b, err := json.Marshal(x); err == nil { // what has a function in it cannot be marshaled
			out[kind+" json"] = string(b)
		}
		for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
			"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b bytes.Buffer
			slog.New(handler(&b)).Info("m", "x", x, slog.Group("g", "x", x))
			out[kind+" "+name] = b.String()
		}
		func() {
			defer func() { out[kind+" panic"] = fmt.Sprintf("%v %+v", recover(), x) }()
			panic(x)
		}()
	}
	return out
}

// A parsed credential shows none of its members, known or not.
func TestACredentialIsRedacted(t *testing.T) {
	t.Parallel()
	c, err := credential.Parse(redact.New(`{"username":"u","password":"` + canary + `","extra":"` +
		canary + `","more":{"deep":["` + canary + `"]},"number":` + digits + `}`))
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.New(of[exchange.Request]()).Elem()
	v.FieldByName("Credential").Set(reflect.ValueOf(c))
	for way, shown := range printed(v) {
		if strings.Contains(shown, canary) || strings.Contains(shown, digits) {
			t.Errorf("%s: %.300s", way, shown)
		}
	}
	if !strings.Contains(c.Encode().Reveal(), digits) {
		t.Error("an unknown member was lost")
	}
}

const digits = "73910462857"
