//! The tools a model was offered in a sample, made again from the sample: what a log says of them follows from the same
//! texts that the model read.

use loophole_chat::ToolSpec;

use crate::Battery;
use crate::report::SampleRecord;
use crate::stage::{Protocol, stage};
use crate::tools::tools;

/// Those of a sample that was played by calls of tools; none in a conversation.
pub fn offered(battery: &Battery, sample: &SampleRecord) -> Vec<ToolSpec> {
    let scenario = battery.scenarios.iter().find(|scenario| scenario.name == sample.probe && scenario.steps > 0);
    let Some((scenario, arm)) = scenario.and_then(|scenario| Some((scenario, scenario.arms.get(&sample.arm)?))) else {
        return Vec::new();
    };
    let protocol = Protocol::of(scenario, true);
    if protocol != Protocol::Tools {
        return Vec::new();
    }
    // A text that cannot be filled was an error when the sample was played.
    stage(scenario, &sample.arm, arm, sample.template, sample.seed, protocol)
        .map_or_else(|_| Vec::new(), |stage| tools(&stage))
}
