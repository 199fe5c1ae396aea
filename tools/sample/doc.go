// Package sample offers what is learnt from data and from sampling as a tool:
// it reads samples, tables and models in the forms that clients send and leaves
// the arithmetic to internal/reason/stats.
package sample
