package search_test

import "testing"

// Every action of every operation, as a client sees it.
func TestConversations(t *testing.T) {
	for _, x := range []struct {
		operation, file, id string
		steps               []step
	}{
		{"beam_search", "beam_search.txt", "beamId", []step{
			{"How should the service store sessions?", `{"beamWidth":2,"iterations":3,"scoreAggregation":"product"}`},
			{"", `{"action":"ask","beamId":"$id"}`},
			{"", `{"action":"tell","beamId":"$id","ticket":"$0","children":[{"content":"in memory","score":0.6},{"content":"in a file","score":0.4},{"content":"on paper","score":0.1}]}`},
			{"", `{"action":"ask","beamId":"$id","n":2}`},
			{"", `{"action":"tell","beamId":"$id","ticket":"$0","children":[{"content":"with a journal","score":0.3},{"content":"without one","score":0.3}]}`},
			{"", `{"action":"abandon","beamId":"$id","ticket":"$1"}`},
			{"", `{"action":"ask","beamId":"$id"}`},
			{"", `{"action":"tell","beamId":"$id","ticket":"$0","children":[{"content":"bbolt","score":0.9,"complete":true}]}`},
			{"", `{"action":"show","beamId":"$id"}`},
			{"", `{"action":"export","beamId":"$id"}`},
			{"", `{"action":"export","beamId":"$id","format":"json"}`},
			{"", `{"action":"list"}`},
			{"", `{"action":"delete","beamId":"$id"}`},
			{"", `{"action":"show","beamId":"$id"}`},
			{"Old client", `{"beamWidth":3,"candidates":["a","b"],"scores":[0.2,0.9],"iterations":5,"createNotebook":true,"thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true,"needsMoreThoughts":true}`},
			{"Old client", `{"candidates":["a","b"],"scores":[0.2]}`},
			{"", `{"problem":` + packing + `,"beamWidth":1,"seed":7}`},
		}},
		{"tree_of_thought", "tree_of_thought.txt", "treeId", []step{
			{"How can the report be out by Friday?", `{"strategy":"depth-first","threshold":0.3,"depth":2}`},
			{"", `{"action":"ask","treeId":"$id"}`},
			{"", `{"action":"propose","treeId":"$id","ticket":"$0","children":[{"content":"cut a chapter"},{"content":"work at night","value":0.2}]}`},
			{"", `{"action":"ask","treeId":"$id","n":4}`},
			{"", `{"action":"evaluate","treeId":"$id","ticket":"$0","value":0.8}`},
			{"", `{"action":"ask","treeId":"$id"}`},
			{"", `{"action":"abandon","treeId":"$id","ticket":"$0"}`},
			{"", `{"action":"ask","treeId":"$id"}`},
			{"", `{"action":"tell","treeId":"$id","ticket":"$0","children":[{"content":"the third","value":0.9,"solution":true}]}`},
			{"", `{"action":"show","treeId":"$id"}`},
			{"", `{"action":"select","treeId":"$id"}`},
			{"", `{"action":"export","treeId":"$id","format":"dot"}`},
			{"", `{"action":"list"}`},
			{"", `{"action":"delete","treeId":"$id"}`},
			{"Old client", `{"depth":3,"breadth":2,"branches":["a","b","c"],"evaluations":[0.1,0.9,0.5],"selectedPath":null}`},
			{"", `{"action":"start","root":"Which of the two?","judge":"vote","votesWanted":3,"branches":["one","two"]}`},
			{"", `{"action":"ask","treeId":"$id"}`},
			{"", `{"action":"vote","treeId":"$id","ticket":"$0","votes":[2,2,1]}`},
			{"", `{"action":"best","treeId":"$id"}`},
			{"", `{"domain":"game24","numbers":[4,9,10,13],"strategy":"depth-first"}`},
			{"", `{"domain":"game24","numbers":[1,1,1,1],"strategy":"depth-first"}`},
		}},
		{"graph_of_thought", "graph_of_thought.txt", "graphId", []step{
			{"Sum up the reports.", `{}`},
			{"", `{"action":"delete","graphId":"$id"}`},
			{"", `{"action":"start","roots":["Sum up the reports."],"plan":[{"id":"write","kind":"generate","count":2},{"id":"rate","kind":"score","after":["write"]},{"id":"best","kind":"keepBest","count":1,"after":["rate"]},{"id":"polish","kind":"refine","after":["best"]},{"id":"check","kind":"validate","after":["polish"]}]}`},
			{"", `{"action":"ask","graphId":"$id"}`},
			{"", `{"action":"tell","graphId":"$id","ticket":"$0","thoughts":[{"content":"Sales fell."},{"content":"Costs rose."}]}`},
			{"", `{"action":"ask","graphId":"$id","n":2}`},
			{"", `{"action":"tell","graphId":"$id","ticket":"$0","score":0.4}`},
			{"", `{"action":"tell","graphId":"$id","ticket":"$1","score":0.7,"note":"two sources"}`},
			{"", `{"action":"ask","graphId":"$id","n":2}`},
			{"", `{"action":"abandon","graphId":"$id","ticket":"$0"}`},
			{"", `{"action":"ask","graphId":"$id"}`},
			{"", `{"action":"tell","graphId":"$id","ticket":"$0","thoughts":[{"content":"Costs rose by a tenth."}]}`},
			{"", `{"action":"ask","graphId":"$id"}`},
			{"", `{"action":"tell","graphId":"$id","ticket":"$0","valid":true}`},
			{"", `{"action":"add","graphId":"$id","nodes":[{"id":"x","content":"The ledger says so.","type":"evidence"}],"edges":[{"from":"x","to":3,"type":"supports","weight":0.5}]}`},
			{"", `{"action":"analyze","graphId":"$id","from":4,"to":3}`},
			{"", `{"action":"show","graphId":"$id"}`},
			{"", `{"action":"export","graphId":"$id","format":"svg"}`},
			{"", `{"action":"list"}`},
			{"", `{"action":"delete","graphId":"$id"}`},
			{"Old client", `{"nodes":["A","B","C"],"edges":[{"from":0,"to":1},{"from":"1","to":2,"edgeType":"supports","weight":0.5}],"paths":[],"optimalPath":null,"from":0,"to":2}`},
		}},
		{"pdr_reasoning", "pdr_reasoning.txt", "researchId", []step{
			{"Why do sessions get lost?", `{"maxPasses":3,"maxTimeMs":1800000}`},
			{"", `{"action":"add_subject","researchId":"$id","subjects":[{"id":"ttl","content":"sessions end by idle time","score":0.9},{"id":"evict","content":"sessions end when memory is full","score":0.7},{"id":"proxy","content":"the proxy drops a header","type":"question","score":0.8},"nobody knows"]}`},
			{"", `{"action":"connect","researchId":"$id","edges":[{"from":"ttl","to":"evict","type":"contradicts"}]}`},
			{"", `{"action":"cluster","researchId":"$id"}`},
			{"", `{"action":"select","researchId":"$id"}`},
			{"", `{"action":"ask","researchId":"$id","n":2}`},
			{"", `{"action":"tell","researchId":"$id","ticket":"$0","confidence":0.9,"answer":"an hour is too short","subjects":["clients sleep"]}`},
			{"", `{"action":"abandon","researchId":"$id","ticket":"$1"}`},
			{"", `{"action":"synthesize","researchId":"$id"}`},
			{"", `{"action":"run_pass","researchId":"$id"}`},
			{"", `{"action":"remove","researchId":"$id","subject":"s1"}`},
			{"", `{"action":"show","researchId":"$id"}`},
			{"", `{"action":"export","researchId":"$id"}`},
			{"", `{"action":"list"}`},
			{"", `{"action":"delete","researchId":"$id"}`},
		}},
	} {
		t.Run(x.operation, func(t *testing.T) { newDesk(t).talk(x.operation, x.file, x.id, x.steps) })
	}
}

// packing is a small knapsack: taking things late is worth more and takes more.
const packing = `{"variables":[{"name":"room","type":"int","initial":"10","min":0},{"name":"at","type":"int"}],` +
	`"actions":[{"name":"take","guard":"room >= 3 + at","effects":{"room":"room - 3 - at","at":"at + 1"},"reward":"4 + 2 * at"},` +
	`{"name":"leave","effects":{"at":"at + 1"}}],"horizon":4}`
