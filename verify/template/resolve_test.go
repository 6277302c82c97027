package template

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// evaluator puts a stack's parameters into a template, as CloudFormation does. A
// reference to a resource is its logical id in angle brackets.
type evaluator struct {
	t          *testing.T
	template   node
	parameters map[string]any // texts, and lists of texts
	// everything says that each condition holds, whatever the parameters.
	everything bool
	// bare says that a reference has no angle brackets.
	bare bool
}

// resolved are a template's resources and outputs for a stack: those whose
// condition holds, with every function resolved.
func resolved(t *testing.T, template node, stack string, parameters map[string]string) (resources,
	outputs map[string]any) {
	t.Helper()
	r := newEvaluator(t, template, stack, parameters)
	return r.section("Resources"), r.section("Outputs")
}

func newEvaluator(t *testing.T, template node, stack string, parameters map[string]string) *evaluator {
	t.Helper()
	r := &evaluator{t: t, template: template, parameters: map[string]any{
		"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012",
		"AWS::URLSuffix": "amazonaws.com", "AWS::StackName": stack,
	}}
	declared := template.get("Parameters")
	for _, name := range declared.members() {
		p, _ := declared.get(name).value.(map[string]any)
		value, given := parameters[name]
		if !given {
			if p["Default"] == nil {
				t.Fatalf("the parameter %s has no default and was not given", name)
			}
			value, _ = p["Default"].(string)
		}
		if pattern, ok := p["AllowedPattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
			t.Fatalf("the parameter %s does not take %q", name, value)
		}
		r.parameters[name] = value
		if p["Type"] == "CommaDelimitedList" {
			list := []any{}
			for item := range strings.SplitSeq(value, ",") {
				if item != "" {
					list = append(list, strings.TrimSpace(item))
				}
			}
			r.parameters[name] = list
		}
	}
	for name := range parameters {
		if _, ok := r.parameters[name]; !ok {
			t.Fatalf("the template has no parameter %s", name)
		}
	}
	return r
}

func (r *evaluator) section(name string) map[string]any {
	out := map[string]any{}
	section := r.template.get(name)
	for _, id := range section.members() {
		entry, _ := section.get(id).value.(map[string]any)
		if condition, ok := entry["Condition"].(string); ok && !r.holds(condition) {
			continue
		}
		out[id] = r.value(entry)
	}
	return out
}

// none is AWS::NoValue: a member with this value is omitted.
type none struct{}

func (r *evaluator) value(v any) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, item := range v {
			if got := r.value(item); got != (any)(none{}) {
				out = append(out, got)
			}
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return r.function(name, argument)
				}
			}
		}
		out := map[string]any{}
		for name, member := range v {
			if got := r.value(member); got != (any)(none{}) {
				out[name] = got
			}
		}
		return out
	}
	return v
}

var variableRE = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

// substitute is Fn::Sub: own are values that it brings along, and ${!x} stays, as ${x}.
func (r *evaluator) substitute(text string, own map[string]any) string {
	return variableRE.ReplaceAllStringFunc(text, func(m string) string {
		parts := variableRE.FindStringSubmatch(m)
		switch value, ok := own[parts[2]]; {
		case ok:
			return fmt.Sprint(r.value(value))
		case parts[1] == "!":
			return "${" + parts[2] + "}"
		}
		return fmt.Sprint(r.ref(parts[2]))
	})
}

func (r *evaluator) function(name string, argument any) any {
	switch name {
	case "Ref":
		return r.ref(fmt.Sprint(argument))
	case "Fn::Sub":
		if pair, ok := argument.([]any); ok && len(pair) == 2 {
			own, _ := pair[1].(map[string]any)
			return r.substitute(fmt.Sprint(r.value(pair[0])), own)
		}
		return r.substitute(fmt.Sprint(argument), nil)
	case "Fn::GetAtt":
		if path, ok := argument.([]any); ok && len(path) == 2 {
			return r.reference(fmt.Sprintf("%v.%v", path[0], path[1]))
		}
		return r.reference(fmt.Sprint(argument))
	}
	list, _ := argument.([]any)
	switch {
	case name == "Fn::If" && len(list) == 3:
		if r.holds(fmt.Sprint(list[0])) {
			return r.value(list[1])
		}
		return r.value(list[2])
	case name == "Fn::Join" && len(list) == 2:
		parts, _ := r.value(list[1]).([]any)
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = fmt.Sprint(part)
		}
		return strings.Join(texts, fmt.Sprint(list[0]))
	case name == "Fn::FindInMap" && len(list) == 3:
		var keys []string
		for _, key := range list {
			keys = append(keys, fmt.Sprint(r.value(key)))
		}
		return r.template.get(append([]string{"Mappings"}, keys...)...).value
	}
	r.t.Fatalf("%s is an unknown function, or has too few arguments", name)
	return nil
}

func (r *evaluator) ref(name string) any {
	switch v, ok := r.parameters[name]; {
	case name == "AWS::NoValue":
		return none{}
	case ok:
		return v
	}
	return r.reference(name)
}

func (r *evaluator) reference(id string) string {
	if r.bare {
		return id
	}
	return "<" + id + ">"
}

func (r *evaluator) holds(condition string) bool {
	return r.everything || r.truth(r.template.get("Conditions", condition).value)
}

func (r *evaluator) truth(v any) bool {
	members, _ := v.(map[string]any)
	for name, argument := range members {
		list, _ := argument.([]any)
		switch name {
		case "Condition":
			return r.holds(fmt.Sprint(argument))
		case "Fn::Not":
			return !r.truth(list[0])
		case "Fn::Equals":
			return fmt.Sprint(r.value(list[0])) == fmt.Sprint(r.value(list[1]))
		case "Fn::And", "Fn::Or":
			for _, one := range list {
				if r.truth(one) != (name == "Fn::And") {
					return name == "Fn::Or"
				}
			}
			return name == "Fn::And"
		}
	}
	r.t.Fatalf("%v is an unknown condition", v)
	return false
}
