// Package powerfake is a meter without sensors, for tests.
package powerfake
