define internal float @cr.sqrt.f32(float %x) alwaysinline nounwind willreturn memory(none) {
  %v1 = call float @llvm.sqrt.f32(float %x)
  ret float %v1
}


define internal void @kernel0(ptr noalias %buffers, i64 %begin, i64 %end) noinline #0 {
entry:
  %a0 = getelementptr inbounds ptr, ptr %buffers, i64 0
  %b0 = load ptr, ptr %a0, !invariant.load !3
  %a1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %b1 = load ptr, ptr %a1, !invariant.load !4
  %a2 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %b2 = load ptr, ptr %a2, !invariant.load !5
  %a3 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %b3 = load ptr, ptr %a3, !invariant.load !6
  %a4 = getelementptr inbounds ptr, ptr %buffers, i64 4
  %b4 = load ptr, ptr %a4, !invariant.load !7
  %a5 = getelementptr inbounds ptr, ptr %buffers, i64 5
  %b5 = load ptr, ptr %a5, !invariant.load !8
  %a6 = getelementptr inbounds ptr, ptr %buffers, i64 6
  %b6 = load ptr, ptr %a6, !invariant.load !9
  br label %start
start:
  br label %before1
before1:
  %v5 = icmp slt i64 %begin, %end
  br i1 %v5, label %body2, label %leave4
body2:
  %body2.i = phi i64 [ %begin, %before1 ], [ %body2.next, %latch3 ]
  %v6 = getelementptr inbounds float, ptr %b0, i64 %body2.i
  %v7 = load float, ptr %v6, !llvm.access.group !0
  %v8 = fmul contract  float %v7, 0x3FECCCCCC0000000
  %v9 = getelementptr inbounds float, ptr %b1, i64 %body2.i
  %v10 = load float, ptr %v9, !llvm.access.group !0
  %v11 = fmul contract  float %v10, 0x3FB99999A0000000
  %v12 = fadd contract  float %v8, %v11
  %v13 = getelementptr inbounds float, ptr %b2, i64 %body2.i
  store float %v12, ptr %v13, !llvm.access.group !0
  %v14 = getelementptr inbounds float, ptr %b3, i64 %body2.i
  %v15 = load float, ptr %v14, !llvm.access.group !0
  %v16 = fmul contract  float %v15, 0x3FEFF7CEE0000000
  %v17 = fmul contract  float %v10, 0x3F50624DE0000000
  %v18 = fmul contract  float %v17, %v10
  %v19 = fadd contract  float %v16, %v18
  %v20 = getelementptr inbounds float, ptr %b4, i64 %body2.i
  store float %v19, ptr %v20, !llvm.access.group !0
  %v21 = getelementptr inbounds float, ptr %b5, i64 %body2.i
  %v22 = load float, ptr %v21, !llvm.access.group !0
  %v23 = fmul contract  float %v12, 0x3F50624DE0000000
  %v24 = call float @cr.sqrt.f32(float %v19)
  %v25 = fadd contract  float %v24, 0x3E45798EE0000000
  %v26 = fdiv contract  float %v23, %v25
  %v27 = fsub contract  float %v22, %v26
  %v28 = getelementptr inbounds float, ptr %b6, i64 %body2.i
  store float %v27, ptr %v28, !llvm.access.group !0
  br label %latch3
latch3:
  %body2.next = add nsw i64 %body2.i, 1
  %v29 = icmp slt i64 %body2.next, %end
  br i1 %v29, label %body2, label %leave4, !llvm.loop !2
leave4:
  ret void
}

define internal i32 @part0.21(ptr noalias %buffers, ptr %context) noinline #0 {
  %t0 = alloca [7 x ptr]
  ; cluster 0
  %v1 = getelementptr inbounds ptr, ptr %buffers, i64 1
  %v2 = load ptr, ptr %v1
  store ptr %v2, ptr %t0
  %v3 = getelementptr inbounds ptr, ptr %buffers, i64 3
  %v4 = load ptr, ptr %v3
  %v5 = getelementptr inbounds ptr, ptr %t0, i64 1
  store ptr %v4, ptr %v5
  %v6 = getelementptr inbounds ptr, ptr %buffers, i64 5
  %v7 = load ptr, ptr %v6
  %v8 = getelementptr inbounds ptr, ptr %t0, i64 2
  store ptr %v7, ptr %v8
  %v9 = getelementptr inbounds ptr, ptr %buffers, i64 2
  %v10 = load ptr, ptr %v9
  %v11 = getelementptr inbounds ptr, ptr %t0, i64 3
  store ptr %v10, ptr %v11
  %v12 = getelementptr inbounds ptr, ptr %buffers, i64 6
  %v13 = load ptr, ptr %v12
  %v14 = getelementptr inbounds ptr, ptr %t0, i64 4
  store ptr %v13, ptr %v14
  %v15 = load ptr, ptr %buffers
  %v16 = getelementptr inbounds ptr, ptr %t0, i64 5
  store ptr %v15, ptr %v16
  %v17 = getelementptr inbounds ptr, ptr %buffers, i64 4
  %v18 = load ptr, ptr %v17
  %v19 = getelementptr inbounds ptr, ptr %t0, i64 6
  store ptr %v18, ptr %v19
  call void @kernel0(ptr %t0, i64 0, i64 20)
  ret i32 0
}

define i32 @program(ptr %buffers, ptr %context) #0 {
  call void @cr.enter(ptr %context)
  %cr.mode.slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %cr.mode.slot)
  %cr.mode.saved = load i32, ptr %cr.mode.slot
  %cr.mode.flush = or i32 %cr.mode.saved, 32832
  store i32 %cr.mode.flush, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  %status = call i32 @part0.21(ptr %buffers, ptr %context)
  store i32 %cr.mode.saved, ptr %cr.mode.slot
  call void @llvm.x86.sse.ldmxcsr(ptr %cr.mode.slot)
  call void @cr.leave(ptr %context)
  ret i32 %status
}

attributes #0 = { nounwind "prefer-vector-width"="256" "no-trapping-math"="true" }

!0 = distinct !{}
!1 = !{!"llvm.loop.parallel_accesses", !0}
!2 = distinct !{!2, !1}
!3 = !{}
!4 = !{}
!5 = !{}
!6 = !{}
!7 = !{}
!8 = !{}
!9 = !{}

