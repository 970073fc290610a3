"""When to Pre-Train Graph Neural Networks? From Data Generation Perspective! (arXiv 2303.16458), section by section.

Section 4.1, from graphs to a graphon:
    ego networks as samples of one big network         ..graphs.egos:ego_networks
    nodes in descending order of degree                graphons.alignment:degree_ranks, aligned_mean
    the nine estimators by name                        graphons.estimate:estimate
    SAS, LG, MC, USVT                                  graphons.estimators
    SBA                                                graphons.blockmodel:block_approximation
    GWB, SGWB, FGWB, SFGWB                             graphons.barycenters:barycenter
Section 4.2, the space of generators:
    integr, domain, topo                               bases:split_graphs, make_bases
    topological features and their clusters            ..graphs.topology:topology_features, topology_clusters
    a convex combination of bases                      graphons.simulation:mixture
Section 4.3, feasibility:
    the best mixture and its distance, negated         feasibility:MixtureFitter, fit_mixture
    Gromov-Wasserstein distance                        transport:gromov_wasserstein
    weights for a fixed coupling                       simplex:minimise
    the fit of the official code                       official:official_fit
Section 5, what carries over to generators:
    homomorphism densities, cut norm and the bound     graphons.densities:motif_densities, cut_norm, motif_bounds
    graphs sampled from a generator                    graphons.simulation:sample_graphs
Experiments:
    pre-training data under a budget                   selection:choose
    what feasibility competes with                     baselines:BASELINES

The paper has no algorithm box: its procedure, from candidates and a target to the feasibility, is
`stages.feasibility:target_feasibility`.
"""
