package template

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// parsePackage reads a package's files, tests aside.
func parsePackage(t *testing.T, folder string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no Go files: %v", folder, err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// set is a set of names.
type set map[string]bool

func (s set) add(other set) {
	for name := range other {
		s[name] = true
	}
}

// interfaces are a package's interface types with their methods.
func interfaces(files []*ast.File) map[string]set {
	out := map[string]set{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if kind, ok := spec.Type.(*ast.InterfaceType); ok {
				methods := set{}
				for _, m := range kind.Methods.List {
					for _, name := range m.Names {
						methods[name.Name] = true
					}
				}
				out[spec.Name.Name] = methods
			}
			return true
		})
	}
	return out
}

// method is a method's calls: to AWS through the receiver's member api, and to
// other methods of the receiver.
type method struct{ aws, own set }

// methods are those of a type, by name.
func methods(files []*ast.File, of string) map[string]method {
	out := map[string]method{}
	for _, file := range files {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || receiver(f) != of || len(f.Recv.List[0].Names) == 0 {
				continue
			}
			out[f.Name.Name] = callsOf(f, f.Recv.List[0].Names[0].Name)
		}
	}
	return out
}

func receiver(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func callsOf(f *ast.FuncDecl, self string) method {
	m := method{set{}, set{}}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch x := call.X.(type) {
		case *ast.Ident:
			if x.Name == self {
				m.own[call.Sel.Name] = true
			}
		case *ast.SelectorExpr:
			if owner, ok := x.X.(*ast.Ident); ok && owner.Name == self && x.Sel.Name == "api" {
				m.aws[call.Sel.Name] = true
			}
		}
		return true
	})
	return m
}

// operations are the AWS operations that a method calls, itself or through other methods.
func operations(all map[string]method, name string, seen set) set {
	out := set{}
	m, ok := all[name]
	if !ok || seen[name] {
		return out
	}
	seen[name] = true
	out.add(m.aws)
	for own := range m.own {
		out.add(operations(all, own, seen))
	}
	return out
}

// within reports whether all names are methods.
func within(names set, all map[string]method) bool {
	for name := range names {
		if _, ok := all[name]; !ok {
			return false
		}
	}
	return len(names) > 0
}
