//! Test kit: Rig and Sim.
