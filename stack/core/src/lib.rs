//! STREAMS: modules, queues, multiplexors, perimeters, stream heads.
