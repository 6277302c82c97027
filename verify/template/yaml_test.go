package template

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a CloudFormation template: maps, lists and texts, with the
// short tags (!Ref, !Sub) in their long form. All scalars are text.
func parseYAML(text string) (root any, err error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 {
		return nil, fmt.Errorf("the text is not one document")
	}
	return plain(document.Content[0])
}

func plain(n *yaml.Node) (any, error) {
	var out any
	switch n.Kind {
	case yaml.ScalarNode:
		out = n.Value
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			v, err := plain(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		out = list
	case yaml.MappingNode:
		members := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if _, twice := members[key]; twice {
				return nil, fmt.Errorf("line %d: %s occurs twice", n.Content[i].Line, key)
			}
			v, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			members[key] = v
		}
		out = members
	default: // CloudFormation reads no anchors and aliases
		return nil, fmt.Errorf("line %d: neither a map, a list nor a text", n.Line)
	}
	if tag, short := strings.CutPrefix(n.Tag, "!"); short && !strings.HasPrefix(tag, "!") {
		return long(tag, out), nil
	}
	return out, nil
}

// long is the long form of a short tag.
func long(tag string, value any) any {
	name := "Fn::" + tag
	switch tag {
	case "Ref", "Condition":
		name = tag
	case "GetAtt":
		if text, ok := value.(string); ok {
			resource, attribute, _ := strings.Cut(text, ".")
			value = []any{resource, attribute}
		}
	}
	return map[string]any{name: value}
}
