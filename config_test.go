// Copyright the daemonize authors.
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package daemonize

// Config: no field is lost on the way into a service.

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSettingsHaveEveryFieldOfConfig(t *testing.T) {
	var c Config[int]
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), nil))
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint32:
			f.SetUint(1)
		default:
			f.SetInt(1)
		}
	}
	copied := reflect.ValueOf(c.settings())
	for i := range copied.NumField() {
		name := copied.Type().Field(i).Name
		if name != "PrivilegedAction" { // the service keeps it with its type
			assert.False(t, copied.Field(i).IsZero(), "settings() does not copy %s", name)
		}
	}
}
