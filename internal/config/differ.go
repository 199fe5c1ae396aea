package config

import "reflect"

// Differs returns the names of the settings whose values are not those of other,
// in the order of the table.
func (c *Config) Differs(other *Config) []string {
	var names []string
	one, two := reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem()
	for _, s := range settings.settings {
		if !reflect.DeepEqual(one.FieldByIndex(s.index).Interface(), two.FieldByIndex(s.index).Interface()) {
			names = append(names, s.path)
		}
	}
	return names
}
