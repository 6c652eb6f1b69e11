# Rule 6: each attempt to give the money back has an id of its own.
# in Sources/Sagas/Reactors/PaymentReactor.swift
# found by seed 6
s|refundEffectID: request\.effectID|refundEffectID: "\\(request.effectID)/\\(clock.now())"|
