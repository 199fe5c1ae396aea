package problem

import (
	"fmt"
	"math/rand/v2"
)

// Bounds of JobShop.
const (
	MaxJobs     = 32
	MaxMachines = 32
	MaxTasks    = 512 // of all jobs together
)

// Task is one step of a job: a machine, from 0, and for how long.
type Task struct {
	Machine  int
	Duration float64
}

// jobShop is a state of how many tasks of each job are scheduled, when each job
// is ready for its next one, and when each machine is free. Action j schedules
// the next task of job j as early as possible after what is scheduled already.
type jobShop struct {
	jobs     [][]Task
	machines int
	tasks    int
	low      float64 // all tasks one after another
	high     float64 // the longest job or the busiest machine
	work     [][]float64
}

// JobShop is the problem of scheduling jobs whose tasks, in their order, each
// occupy one machine, so that all is done as early as possible. The return is
// minus the makespan. Every semi-active schedule is the result of some order of
// the actions, and one of these is optimal. The heuristic weighs a job by the
// work that remains (the priority rule "most work remaining": Panwalkar and
// Iskander, 1977).
func JobShop(jobs [][]Task) (Model, error) {
	if n := len(jobs); n == 0 || n > MaxJobs {
		return nil, Flaws{{"jobs", fmt.Sprintf("%d jobs", n), fmt.Sprintf("1 to %d", MaxJobs)}}
	}
	m := &jobShop{}
	var load [MaxMachines]float64
	for j, job := range jobs {
		m.jobs = append(m.jobs, append([]Task(nil), job...))
		left := make([]float64, len(job)+1)
		for k, t := range job {
			path := at(at("jobs", j), k)
			if t.Machine < 0 || t.Machine >= MaxMachines {
				return nil, Flaws{{path, fmt.Sprintf("machine %d", t.Machine), fmt.Sprintf("0 to %d", MaxMachines-1)}}
			}
			if !(t.Duration >= 0 && t.Duration <= maxReward) {
				return nil, Flaws{{path, fmt.Sprintf("duration %v", t.Duration), "a number from 0 to 1e9"}}
			}
			m.machines = max(m.machines, t.Machine+1)
			load[t.Machine] += t.Duration
			m.low -= t.Duration
		}
		for k := len(job) - 1; k >= 0; k-- {
			left[k] = left[k+1] + job[k].Duration
		}
		m.work = append(m.work, left)
		m.high = min(m.high, -left[0])
		m.tasks += len(job)
	}
	for _, l := range load {
		m.high = min(m.high, -l)
	}
	if m.tasks == 0 || m.tasks > MaxTasks {
		return nil, Flaws{{"jobs", fmt.Sprintf("%d tasks", m.tasks), fmt.Sprintf("1 to %d", MaxTasks)}}
	}
	if m.low == m.high { // one way to do it
		m.low--
	}
	return m, nil
}

// FT06 returns the jobs of the instance ft06 (Fisher and Thompson, 1963), whose
// shortest makespan is 55.
func FT06() [][]Task {
	table := [6][12]int{
		{2, 1, 0, 3, 1, 6, 3, 7, 5, 3, 4, 6},
		{1, 8, 2, 5, 4, 10, 5, 10, 0, 10, 3, 4},
		{2, 5, 3, 4, 5, 8, 0, 9, 1, 1, 4, 7},
		{1, 5, 0, 5, 2, 5, 3, 3, 4, 8, 5, 9},
		{2, 9, 1, 3, 4, 5, 5, 4, 0, 3, 3, 1},
		{1, 3, 3, 3, 5, 9, 0, 10, 4, 4, 2, 1},
	}
	jobs := make([][]Task, len(table))
	for j, row := range table {
		for k := 0; k < len(row); k += 2 {
			jobs[j] = append(jobs[j], Task{row[k], float64(row[k+1])})
		}
	}
	return jobs
}

func (m *jobShop) Traits() Traits {
	return Traits{
		Size: 2*len(m.jobs) + m.machines, Actions: len(m.jobs), Players: 1, Discount: 1, Horizon: m.tasks, Deterministic: true,
		Bounded: true, Low: m.low, High: m.high, Weight: 1, Guided: true,
	}
}

func (m *jobShop) Start(state []float64) { clear(state) }

func (m *jobShop) Player([]float64) int { return 1 }

func (m *jobShop) Actions(state []float64, buf []int) ([]int, error) {
	for j, job := range m.jobs {
		if int(state[j]) < len(job) {
			buf = append(buf, j)
		}
	}
	return buf, nil
}

func (m *jobShop) Apply(state []float64, action int, _ *rand.Rand) (int, float64, error) {
	n := len(m.jobs)
	t := m.jobs[action][int(state[action])]
	job, machine := &state[n+action], &state[2*n+t.Machine]
	end := max(*job, *machine) + t.Duration
	*job, *machine = end, end
	state[action]++
	return 0, 0, nil
}

// Value is minus the time at which the last machine is done.
func (m *jobShop) Value(state []float64) (float64, error) {
	var last float64
	for _, free := range state[2*len(m.jobs):] {
		last = max(last, free)
	}
	return 0 - last, nil
}

func (m *jobShop) Weigh(state []float64, acts []int, weights []float64) error {
	for i, j := range acts {
		weights[i] = m.work[j][int(state[j])]
	}
	return nil
}

func (m *jobShop) Label(action int) string { return fmt.Sprintf("job %d", action+1) }
